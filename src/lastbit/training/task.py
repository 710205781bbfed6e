"""The images of a recipe, chosen, padded and normalised."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lastbit.training.augment import crop_and_flip
from lastbit.training.data import Dataset, load
from lastbit.training.recipe import Recipe
from lastbit.training.recipe_error import RecipeError

# Seeds of the order and of the augmentation must differ, or the two would share their random numbers.
_AUGMENTATION = 2**32
_EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Task:
    """Images and labels on the device, and how batches are made of them."""

    train_images: Tensor  # uint8 (n, channels, height, width)
    train_labels: Tensor  # int64 (n,)
    test_images: Tensor  # uint8 (m, channels, height, width)
    test_labels: Tensor  # int64 (m,)
    classes: int
    mean: Tensor  # (channels, 1, 1), of pixels in [0, 1]
    std: Tensor  # (channels, 1, 1)
    batch_size: int
    augment: bool

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.train_images.shape[1]

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the last of which may be smaller."""
        return -(-len(self.train_labels) // self.batch_size)

    def normalise(self, images: Tensor) -> Tensor:
        """Turn uint8 pixels into (pixel / 255 − mean) / std, in the recipe's dtype and with channels last in memory."""
        pixels = images.to(self.mean.dtype, memory_format=torch.channels_last)
        return pixels.div_(255).sub_(self.mean).div_(self.std)

    def epochs(self, seed: int) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
        """Yield epoch after epoch of (images, labels) batches in an order that `seed` alone decides."""
        order = torch.Generator().manual_seed(seed)
        augmentation = torch.Generator().manual_seed(seed + _AUGMENTATION)
        while True:
            yield self._batches(torch.randperm(len(self.train_labels), generator=order), augmentation)

    def test_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the test set in order, in (images, labels) batches."""
        pairs = zip(
            torch.split(self.test_images, _EVALUATION_BATCH),
            torch.split(self.test_labels, _EVALUATION_BATCH),
            strict=True,
        )
        return ((self.normalise(images), labels) for images, labels in pairs)

    def _batches(self, order: Tensor, augmentation: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in torch.split(order.to(self.train_labels.device), self.batch_size):
            images = self.train_images[indices]
            if self.augment:
                images = crop_and_flip(images, augmentation)
            yield self.normalise(images), self.train_labels[indices]


def prepare(recipe: Recipe, *, device: torch.device | None = None, root: Path | None = None) -> Task:
    """Load a recipe's data set and cut it to what the recipe asks for.

    Args:
        recipe: names the data set, how much of it, its padding and normalisation.
        device: where the images go; the CPU by default.
        root: folder of the fetched data sets; the cache by default.

    Raises:
        RecipeError: the recipe asks for more images than there are, a batch larger than the training set, or a mean
            or std whose length is not the number of channels.
        ValueError: an unknown data set, or one that has not been fetched.
    """
    dataset = load(recipe.data.name, root=root)
    _check(recipe, dataset)
    settings = recipe.data
    return Task(
        train_images=_pad(dataset.train_images[: settings.train], settings.pad).to(device),
        train_labels=dataset.train_labels[: settings.train].to(device),
        test_images=_pad(dataset.test_images[: settings.test], settings.pad).to(device),
        test_labels=dataset.test_labels[: settings.test].to(device),
        classes=len(dataset.classes),
        mean=torch.tensor(settings.mean, dtype=recipe.torch_dtype, device=device).view(-1, 1, 1),
        std=torch.tensor(settings.std, dtype=recipe.torch_dtype, device=device).view(-1, 1, 1),
        batch_size=recipe.batch_size,
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


def _check(recipe: Recipe, dataset: Dataset) -> None:
    settings, channels = recipe.data, dataset.train_images.shape[1]
    for field, asked, there in (
        ("data.train", settings.train, len(dataset.train_labels)),
        ("data.test", settings.test, len(dataset.test_labels)),
        ("batch_size", recipe.batch_size, settings.train or len(dataset.train_labels)),
    ):
        if asked is not None and asked > there:
            raise RecipeError(f"{recipe.name}: {field} = {asked}: {settings.name} gives at most {there}")
    for field, values in (("data.mean", settings.mean), ("data.std", settings.std)):
        if len(values) != channels:
            raise RecipeError(
                f"{recipe.name}: {field} = {list(values)}: give {channels}, one for each channel of {settings.name}"
            )
