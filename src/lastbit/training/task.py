"""The images of a recipe: selected, padded, normalised, and split into batches in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lastbit.errors import LastbitError
from lastbit.training.catalogue import RecipeError
from lastbit.training.data import Dataset, load
from lastbit.training.network import check_fit
from lastbit.training.randomness import augmentation_stream
from lastbit.training.recipe import Recipe

ImageBatch = tuple[Tensor, Tensor]  # images, normalised, and labels
PADDING = 4  # black pixels around an image before it is cropped at random
_EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Task:
    """Images and labels on the device, and how they become batches."""

    train_images: Tensor  # uint8 (n, channels, height, width)
    train_labels: Tensor  # int64 (n,)
    test_images: Tensor  # uint8 (m, channels, height, width)
    test_labels: Tensor  # int64 (m,)
    classes: int
    mean: Tensor  # (channels, 1, 1), or (channels, height, width) per pixel; of pixels in [0, 1]
    std: Tensor  # of the shape of mean
    batch_size: int  # that of the training set for gradient descent
    augment: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the last of which may be smaller."""
        return -(-len(self.train_labels) // self.batch_size)

    def normalise(self, images: Tensor) -> Tensor:
        """Turn uint8 pixels into (pixel / 255 − mean) / std, in the recipe's dtype and with channels last in memory."""
        pixels = images.to(self.mean.dtype, memory_format=torch.channels_last)
        return pixels.div_(255).sub_(self.mean).div_(self.std)

    def epochs(self, seed: int, augmentation: int | None = None) -> Epochs:
        """Return epoch after epoch of batches.

        Args:
            seed: of their order.
            augmentation: its seed; by default the same.
        """
        return Epochs(self, seed, augmentation)

    def batches(self, seed: int) -> Iterator[ImageBatch]:
        """Return the batches of `epochs` one after another, without end."""
        return chain.from_iterable(self.epochs(seed))

    def fixed_batch(self, size: int | None = None) -> ImageBatch:
        """Return the first `size` training images, or all, in stored order and not augmented, with their labels."""
        return self.normalise(self.train_images[:size]), self.train_labels[:size]

    def test_batches(self) -> Iterator[ImageBatch]:
        """The test set in stored order."""
        pairs = zip(
            torch.split(self.test_images, _EVALUATION_BATCH),
            torch.split(self.test_labels, _EVALUATION_BATCH),
            strict=True,
        )
        return ((self.normalise(images), labels) for images, labels in pairs)


class Epochs(Iterator[Iterator[ImageBatch]]):
    """An endless series of epochs. Each item yields the batches of one epoch; exhaust it before you ask for the next.

    Args:
        task: the training images.
        seed: decides their order.
        augmentation: decides their augmentation; by default the same seed.
    """

    def __init__(self, task: Task, seed: int, augmentation: int | None = None) -> None:
        self._task = task
        augmentation = seed if augmentation is None else augmentation
        self._order = torch.Generator().manual_seed(seed)
        self._augmentation = torch.Generator().manual_seed(augmentation_stream(augmentation))

    def __next__(self) -> Iterator[ImageBatch]:
        return self._batches(torch.randperm(len(self._task.train_labels), generator=self._order))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the states of both generators, which at the end of an epoch decide everything that follows."""
        return {"order": self._order.get_state(), "augmentation": self._augmentation.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a state that `state_dict` returned."""
        self._order.set_state(state["order"])
        self._augmentation.set_state(state["augmentation"])

    def _batches(self, order: Tensor) -> Iterator[ImageBatch]:
        task = self._task
        for indices in torch.split(order.to(task.train_labels.device), task.batch_size):
            images = task.train_images[indices]
            if task.augment:
                images = crop_and_flip(images, self._augmentation)
            yield task.normalise(images), task.train_labels[indices]


def crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pad each image by 4 black pixels, crop it back at a random place, mirror it with probability 1/2.

    This is the usual augmentation for CIFAR (He et al. 2016, section 4.2).

    Args:
        images: (n, channels, height, width), any dtype.
        generator: on the CPU; 3n numbers are drawn from it in two calls.

    Returns:
        A new tensor of the shape, dtype and device of `images`.
    """
    count, _, height, width = images.shape
    corners = torch.randint(0, 2 * PADDING + 1, (2, count, 1), generator=generator).to(images.device)
    mirrored = torch.rand(count, generator=generator).to(images.device) < 0.5
    rows = corners[0] + torch.arange(height, device=images.device)  # (n, height)
    columns = corners[1] + torch.arange(width, device=images.device)  # (n, width)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    padded = functional.pad(images, (PADDING,) * 4)
    which = torch.arange(count, device=images.device)[:, None, None]
    # Indexing around the channel axis puts it last; the permutation only changes the view, contiguous() the memory.
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def prepare(recipe: Recipe, *, device: torch.device | None = None, root: Path | None = None) -> Task:
    """Load a recipe's data set, with as many images as the recipe asks for, padded.

    Args:
        recipe: names the data set, how much of it to use, its padding and normalisation.
        device: where the images go; the CPU by default.
        root: folder of the fetched data sets; the cache by default.

    Raises:
        RecipeError: the recipe asks for more images than there are, a batch larger than the training set, a mean or
            std whose length is not the number of channels, or a network that cannot take these images.
        LastbitError: an unknown data set, or one that has not been fetched.
    """
    dataset = load(recipe.data.name, root=root)
    _check(recipe, dataset)
    settings = recipe.data
    train_images = _pad(dataset.train_images[: settings.train], settings.pad).to(device)
    statistics = _pixel_statistics(train_images) if settings.per_pixel else (settings.mean, settings.std)
    mean, std = (torch.as_tensor(values, dtype=recipe.torch_dtype, device=device) for values in statistics)
    return Task(
        train_images=train_images,
        train_labels=dataset.train_labels[: settings.train].to(device),
        test_images=_pad(dataset.test_images[: settings.test], settings.pad).to(device),
        test_labels=dataset.test_labels[: settings.test].to(device),
        classes=len(dataset.classes),
        mean=mean if settings.per_pixel else mean.view(-1, 1, 1),
        std=std if settings.per_pixel else std.view(-1, 1, 1),
        batch_size=recipe.batch_size or len(train_images),
        augment=settings.augment,
    )


def check_available(recipe: Recipe, *, root: Path | None = None) -> None:
    """Check before a study begins that a recipe's data set is here and large enough.

    Raises:
        RecipeError, ValueError: as `prepare` does.
    """
    _check(recipe, load(recipe.data.name, root=root))


def _pad(images: Tensor, pixels: int) -> Tensor:
    return functional.pad(images, (pixels,) * 4) if pixels else images


def _pixel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and STD (ddof 0, as Cohen et al. 2021 have it) of each pixel; STD 1 for a pixel that never changes."""
    std, mean = torch.std_mean(images.double() / 255, dim=0, correction=0)
    return mean, torch.where(std > 0, std, 1.0)


def _check(recipe: Recipe, dataset: Dataset) -> None:
    settings, (channels, *sides) = recipe.data, dataset.train_images.shape[1:]
    for field, asked, there in (
        ("data.train", settings.train, len(dataset.train_labels)),
        ("data.test", settings.test, len(dataset.test_labels)),
        ("batch_size", recipe.batch_size, settings.train or len(dataset.train_labels)),
    ):
        if asked is not None and asked > there:
            raise RecipeError(f"{recipe.name}: {field} = {asked}: {settings.name} gives at most {there}")
    for field, values in (("data.mean", settings.mean), ("data.std", settings.std)):
        if len(values) != channels and not settings.per_pixel:
            raise RecipeError(
                f"{recipe.name}: {field} = {list(values)}: give {channels}, one for each channel of {settings.name}"
            )
    height, width = (side + 2 * settings.pad for side in sides)
    try:
        check_fit(recipe.model, shape=(channels, height, width), classes=len(dataset.classes))
    except LastbitError as error:
        raise RecipeError(f"{recipe.name}: {error}") from None
