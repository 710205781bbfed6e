"""What is random in the training of a recipe: the sources of which each takes a seed of its own."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastbit.training.recipe import Recipe

INIT, ORDER, AUGMENTATION, DROPOUT = "init", "order", "augmentation", "dropout"
SOURCES = (INIT, ORDER, AUGMENTATION, DROPOUT)
# The seed of order, augmentation or dropout where other sources vary and it does not. Torch takes the low 32 bits of a
# seed only for its generator on the CPU, so 2**32 would be 0; levels of sources are counted from 1 and stay far below.
HELD = 2**31


def recipe_sources(recipe: Recipe) -> dict[str, str]:
    """The sources of randomness by name: empty where the recipe has it, else why it has not, as in a sentence."""
    return {
        INIT: "",
        ORDER: "" if recipe.batch_size else "each step uses all training images (there is no batch_size)",
        AUGMENTATION: "" if recipe.data.augment else "data.augment is false",
        DROPOUT: "" if recipe.model.dropout else "model.dropout is 0",
    }


def seeded(recipe: Recipe, seeds: Mapping[str, int]) -> Recipe:
    """The recipe with the initial weights that a run's seeds ask for; without any it stays as it is."""
    return recipe.model_copy(update={"init_seed": seeds[INIT]}) if INIT in seeds else recipe


def augmentation_stream(seed: int) -> int:
    """The number that seeds torch's generator of the augmentation.

    A hash of the seed: with the seed itself, or the seed and a multiple of 2**32, crops and flips would be drawn from
    the same random numbers as the order of batches.
    """
    return int.from_bytes(blake2b(f"augmentation/{seed}".encode(), digest_size=4).digest())


def batch_seeds(seed: int, seeds: Mapping[str, int]) -> tuple[int, int]:
    """The seeds of a run's batch order and augmentation.

    Args:
        seed: of the run, which decides both where the sources have no seeds of their own.
        seeds: of the sources that have one; empty where none has.
    """
    return _seed_of(ORDER, seed, seeds), _seed_of(AUGMENTATION, seed, seeds)


def dropout_seed(seed: int, seeds: Mapping[str, int]) -> int:
    """The seed of a run's dropout; `seed` and `seeds` are those of `batch_seeds`."""
    return _seed_of(DROPOUT, seed, seeds)


def _seed_of(source: str, seed: int, seeds: Mapping[str, int]) -> int:
    return seeds.get(source, HELD) if seeds else seed
