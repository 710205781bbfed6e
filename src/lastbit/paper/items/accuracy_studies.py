"""Studies of test accuracy by k and seed: the paper's printed tables, our trainings, and what items show of these.

The paper takes STDs with ddof 0 and averages them; here variances are pooled with ddof 1. To compare the two, the
paper's spreads are computed anew from the accuracies that it prints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lastbit.noise import Scale
from lastbit.paper.item import Drawing, Settings, Work
from lastbit.report.study.churn import churn_table
from lastbit.report.study.quality import spread_figure
from lastbit.report.study.spread import accuracy_figure, gain_figure, variance_figure
from lastbit.report.study.stored import StudyJson
from lastbit.report.study.tables import accuracy_table
from lastbit.statistics.spread import Share, Spread, Table, noise_share, noise_spread, seed_spread
from lastbit.storage.files import sha256, to_json
from lastbit.study import Study
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining


@dataclass(frozen=True)
class PublishedTable:
    """Final test accuracies in percent; the rows are k = 1, 3, 5, 7, 9 and 11, the columns seeds 1 to 6."""

    rows: Sequence[Sequence[float]]
    ks: Sequence[int] = (1, 3, 5, 7, 9, 11)

    @property
    def values(self) -> Table:
        """The accuracies, shape (ks, seeds)."""
        return np.array(self.rows, dtype=np.float64)

    @property
    def mean(self) -> float:
        """Mean accuracy."""
        return float(self.values.mean())

    @property
    def over_k(self) -> Spread:
        """STD over k at a seed, pooled over seeds."""
        return _known(noise_spread(self.values))

    @property
    def over_seeds(self) -> Spread:
        """STD over seeds at a k, pooled over k."""
        return _known(seed_spread(self.values))

    @property
    def share(self) -> float:
        """STD over k as a share of the STD over seeds.

        Raises:
            AssertionError: the table has no spread over seeds.
        """
        share: Share | None = noise_share(self.values)
        if share is None:
            raise AssertionError("a published table has a spread")
        return share.value

    def as_json(self) -> Mapping[str, object]:
        """The accuracies by k, and the spreads that follow from them with their 95 % intervals."""
        return {
            "test_accuracy_by_seed": {f"k={k}": list(row) for k, row in zip(self.ks, self.rows, strict=True)},
            "pooled_std_over_k": _in_words(self.over_k),
            "pooled_std_over_seeds": _in_words(self.over_seeds),
        }


def _known(spread: Spread | None) -> Spread:
    if spread is None:
        raise AssertionError("a published table has at least two rows and two columns")
    return spread


def _in_words(spread: Spread) -> str:
    return f"{spread.std:.3f} ({spread.lower:.3f} to {spread.upper:.3f})"


def study_drawings(study: StudyJson, parts: Sequence[str], *, what: str = "") -> list[Drawing]:
    """Return the charts and tables of a study that Tables 1, 6, 7 and 8 show, in the order asked for.

    Args:
        study: its results.
        parts: of `accuracies` (the table), `accuracy` (the chart), `spread`, `variance`, `churn`, `gain`.
        what: was trained, for items with several studies: it begins every title, and every name.
    """
    made = [_MAKERS[part](study) for part in parts]
    if not what:
        return made
    stem = what.lower().replace(" ", "-").replace(",", "")
    return [replace(drawing, name=f"{stem}-{drawing.name}", title=f"{what}: {drawing.title}") for drawing in made]


def _accuracies(study: StudyJson) -> Drawing:
    note = (
        "Test accuracy in percent at the end of training. STD is the standard deviation in points (ddof 1), with its "
        "95 % interval below it; of so few runs it is known to a factor of two or so."
    )
    return replace(accuracy_table(study), note=note)


_MAKERS: Mapping[str, Callable[[StudyJson], Drawing]] = {
    "accuracies": _accuracies,
    "accuracy": accuracy_figure,
    "spread": spread_figure,
    "variance": variance_figure,
    "churn": churn_table,
    "gain": gain_figure,
}


KS = (1, 3, 5, 7, 9, 11)  # the paper's
SEEDS = (1, 2, 3, 4, 5, 6)


def training(
    recipe: str, changes: Sequence[str] = (), *, ks: Sequence[int] = KS, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """Return what to train, as settings of an item.

    Args:
        recipe: a built-in one's name.
        changes: of its fields, such as `optimizer.lr=0.05`.
        ks: of the perturbed updates, 1 first.
        seeds: of batch order and augmentation.
    """
    return {"recipe": recipe, "changes": list(changes), "ks": list(ks), "seeds": list(seeds)}


def complete_study(asked: Settings, work: Work, *, copy: int = 0, controlled: bool = True) -> Study:
    """Run the trials that are asked for and not stored yet, and return the study.

    Items that ask for the same training with other seeds and ks share its directory, and so its trials.

    Args:
        asked: from `training`.
        work: where studies are kept, who runs their trials, and on which device.
        copy: runs of another copy are made anew, to be compared bit by bit.
        controlled: run the study's controls first, and stop if they fail.
    """
    recipe = load_recipe(asked["recipe"], changes=tuple(asked["changes"]))
    # An epoch of the paper's trainings is minutes, and a training days of them.
    train = RecipeTraining(recipe, work.device, checkpoint_every=1)
    name = f"{asked['recipe']}-{sha256(to_json(train.settings).encode())[:8]}"
    study = Study(
        work.studies / (f"{name}-copy{copy}" if copy else name),
        train,
        noises=[Scale(k) for k in asked["ks"]],
        seeds=asked["seeds"],
        controlled=controlled,
    )
    study.complete(work.executor)
    return study


def study_as_json(study: Study) -> dict[str, Any]:
    """Return a study's results as plain JSON, without those by layer."""
    return {**study.results().as_json(), "rel_l1_layers": [], "growth": []}


# A small network on bundled images, in under a second.
SMOKE_CNN = (
    "epochs=2",
    "batch_size=64",
    "data.train=512",
    "data.test=200",
    "schedule.milestones=[]",
    "measure.fluctuation_epochs=2",
    "measure.fluctuation_batches=4",
)
SMOKE_CUTS = (
    "a network of three convolutions on 512 images of Fashion-MNIST in place of ResNet-56 on CIFAR-10, 2 epochs of "
    "batches of 64 in place of 200 of 128, a fixed learning rate"
)

# Half a minute of one core per run.
_SHORT = ("epochs=5", "batch_size=64", "schedule.milestones=[3,4]", "data.train=2560", "data.test=1000")
_MEASURED = ("measure.snapshot_epochs=1", "measure.fluctuation_epochs=5", "measure.fluctuation_batches=8")
LAPTOP_RESNET = ("model.name=resnet8", *_SHORT, *_MEASURED)
# Without shortcuts the last bit takes longer to grow, and a small network has the time.
LAPTOP_PLAIN = ("model.name=small-cnn", *_SHORT, *_MEASURED, "epochs=12", "schedule.milestones=[8,10]")
LAPTOP_CUTS = (
    "ResNet-8 in place of ResNet-56, 2,560 training and 1,000 test images, 5 epochs of batches of 64 in place of 200 "
    "of 128, learning rate divided after epochs 3 and 4"
)
LAPTOP_PLAIN_CUTS = "three convolutions without shortcuts and 12 epochs in place of VGG16-BN"
