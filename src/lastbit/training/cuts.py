"""What a recipe at a reduced scale leaves out of the full one, in words, computed from what is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lastbit.errors import LastbitError
from lastbit.training.data.catalogue import find

if TYPE_CHECKING:
    from lastbit.training.recipe import DataSettings, Recipe


def cuts(recipe: Recipe, full: Recipe) -> str:
    """What a recipe has less of than the full one, or in place of it: `512 of 4,000 training images, 2 of 9 epochs`.

    Args:
        recipe: at a reduced scale, with all changes that were made to it.
        full: the same recipe at its full scale, unchanged.
    """
    return ", ".join(_parts(recipe, full)) or "nothing, as it was changed"


def _parts(recipe: Recipe, full: Recipe) -> Iterator[str]:
    if recipe.model.name != full.model.name:
        yield f"{recipe.model.name} in place of {full.model.name}"
    if recipe.data.name != full.data.name:
        yield f"{recipe.data.name} in place of {full.data.name}"
    images, all_images = _images(recipe.data), _images(full.data)
    for kind, count in images.items():
        if count != all_images.get(kind, count):
            yield _of(count, all_images[kind], f"{kind} images")
    if recipe.epochs != full.epochs:
        yield _of(recipe.epochs, full.epochs, "epochs")
    if recipe.schedule.milestones != full.schedule.milestones:
        usual = _divided(full.schedule.milestones).removeprefix("divided ")
        yield f"learning rate {_divided(recipe.schedule.milestones)} (full recipe: {usual})"
    if recipe.batch_size != full.batch_size:
        yield f"batches of {recipe.batch_size or 'all'} in place of {full.batch_size or 'all'}"
    batches, usual_batches = recipe.measure.fluctuation_batches, full.measure.fluctuation_batches
    if recipe.measure.fluctuation_epochs and batches != usual_batches:
        yield f"gradient fluctuation from {_of(batches, usual_batches, 'batches')}"


def _images(data: DataSettings) -> dict[str, int]:
    """How many images are used; of a data set that is not known, those that the recipe names."""
    try:
        entry = find(data.name)
    except LastbitError:  # loading it says so
        return {kind: count for kind, count in (("training", data.train), ("test", data.test)) if count is not None}
    return {"training": data.train or entry.train, "test": data.test or entry.test}


def _of(count: int, full: int, what: str) -> str:
    return f"{count:,} of {full:,} {what}" if count < full else f"{count:,} in place of {full:,} {what}"


def _divided(milestones: Sequence[int]) -> str:
    """How often a learning rate is divided, after the epochs of a schedule."""
    if not milestones:
        return "never divided"
    if len(milestones) == 1:
        return f"divided after epoch {milestones[0]}"
    if list(milestones) == [milestones[0] * (at + 1) for at in range(len(milestones))]:
        return f"divided every {milestones[0]} epochs" if milestones[0] > 1 else "divided every epoch"
    return f"divided after epochs {', '.join(map(str, milestones[:-1]))} and {milestones[-1]}"
