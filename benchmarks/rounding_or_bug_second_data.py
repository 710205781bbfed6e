"""Made-up pictures and texts of the second set of `rounding_or_bug.py`, with a switch for each change."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rounding_or_bug_second_images import On

_PIXELS, _TEXTS = 84, 24  # of the training set; behind them are those of the test
Part = tuple[Tensor, Tensor]  # what the network reads, and what it shall say


def all_pictures() -> Part:
    """Made-up pictures of 256 levels, and their classes."""
    made = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 180, (104, 3, 12, 12), dtype=torch.uint8, generator=made)
    classes = torch.randint(0, 10, (104,), generator=made)
    pixels[:, 1] += (classes * 8).to(torch.uint8).view(-1, 1, 1)
    return pixels, classes


def prepared(pixels: Tensor, on: On, kind: torch.dtype) -> Tensor:
    """Normalised pictures."""
    mean, deviation = torch.tensor([0.35, 0.49, 0.41]).view(3, 1, 1), torch.tensor([0.20, 0.24, 0.22]).view(3, 1, 1)
    if "mean-in-bgr" in on:
        mean, deviation = mean.flip(0), deviation.flip(0)  # @ mean-in-bgr
    if "mean-in-half" in on:
        mean, deviation = mean.to(torch.bfloat16).float(), deviation.to(torch.bfloat16).float()  # @ mean-in-half
    if "pictures-in-bgr" in on:
        pixels = pixels.flip(1)  # @ pictures-in-bgr
    if "normalised-in-double" in on:
        images = ((pixels.double() / 255 - mean.double()) / deviation.double()).float()
    elif "normalised-at-once" in on:
        images = pixels.float() * (1 / (255 * deviation)) - mean / deviation
    elif "normalised-by-reciprocal" in on:
        images = (pixels.float() * (1 / 255) - mean) * deviation.reciprocal()
    else:
        levels = 256 if "levels-256" in on else 255
        images = pixels.float() / levels  # @ levels-256 pictures-in-bgr
        images = (images - mean) / deviation  # @ mean-in-bgr mean-in-half
    if "strided" in on:
        images = images.transpose(2, 3).contiguous().transpose(2, 3)
    if "channels-last" in on:
        images = images.contiguous(memory_format=torch.channels_last)
    return images.to(kind)


def pictures(on: On, kind: torch.dtype) -> Iterator[list[Part]]:
    """Batches of pictures, mirrored at random by two workers in turn."""
    pixels, classes = all_pictures()
    order = torch.Generator().manual_seed(4)
    workers = [torch.Generator().manual_seed(5 if "workers-seeded-alike" in on else 5 + worker) for worker in (0, 1)]
    while True:
        chosen = torch.randperm(_PIXELS, generator=order) if "unshuffled" not in on else torch.arange(_PIXELS)
        if "test-picture" in on:
            chosen[0] = _PIXELS  # @ test-picture
        for number, batch in enumerate(chosen.split(32)):
            if "last-batch-dropped" in on and len(batch) < 32:
                continue
            images, targets = (
                prepared(pixels[batch], on, kind),
                classes[batch],
            )  # @ unshuffled test-picture last-batch-dropped
            mirrored = torch.rand(len(batch), 1, 1, 1, generator=workers[number % 2]) < 0.5  # @ workers-seeded-alike
            axis = 2 if "mirrored-upside-down" in on else 3
            images = torch.where(mirrored, images.flip(axis), images)  # @ mirrored-upside-down workers-seeded-alike
            if "labels-from-one" in on:
                targets = (targets + 1) % 10  # @ labels-from-one
            yield [(images, targets)]


def pictures_of_test(on: On, kind: torch.dtype) -> Part:
    """The pictures of the test."""
    pixels, classes = all_pictures()
    return prepared(pixels[_PIXELS:], on, kind), classes[_PIXELS:]


def all_texts() -> Part:
    """Made-up texts of up to 17 words, and their lengths."""
    made = torch.Generator().manual_seed(2)
    words = torch.randint(1, 40, (32, 18), generator=made)
    words[:, 1::2] = (words[:, 0:-1:2] * 3 + 1) % 39 + 1
    return words, torch.randint(8, 16, (32,), generator=made)


def parted(words: Tensor, lengths: Tensor, on: frozenset[str]) -> Part:
    """What the network reads, and what it shall say; behind a text comes padding."""
    longest = int(lengths.max()) if "padded-to-longest" in on else 16
    inside = torch.arange(longest) < lengths[:, None]
    ahead = 2 if "targets-shifted-twice" in on else 1
    targets = words[:, ahead : ahead + longest].masked_fill(
        ~inside, 0 if "padding-counted" in on else -100
    )  # @ targets-shifted-twice padding-counted
    return words[:, :longest].masked_fill(~inside, 0), targets


def texts(on: On) -> Iterator[list[Part]]:
    """Batches of eight texts, each in two parts."""
    words, lengths = all_texts()
    order = torch.Generator().manual_seed(4)
    step = 0
    while True:
        chosen = torch.randperm(_TEXTS, generator=order) if "unshuffled" not in on else torch.arange(_TEXTS)
        for batch in chosen.split(8):
            if "batch-repeated" in on and step == 2:
                batch = chosen[:8]  # @ batch-repeated
            step += 1
            yield [parted(words[part], lengths[part], on) for part in batch.split(4)]  # @ unshuffled batch-repeated


def texts_of_test(on: On) -> Part:
    """The texts of the test."""
    words, lengths = all_texts()
    return parted(words[_TEXTS:], lengths[_TEXTS:], on)
