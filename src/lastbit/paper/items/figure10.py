"""Figure 10: at the learning rate at which errors are not amplified, training still learns (appendix C)."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.items.accuracy_studies import complete_study, training
from lastbit.paper.items.lr_sweep import SWEEP_CUTS, SWEEPS
from lastbit.report.charts.axes import STEPS, Axis
from lastbit.report.charts.curves import cut
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
from lastbit.training.catalogue import load_recipe
from lastbit.training.task import prepare

_CHANCE = 10.0  # percent, of ten classes
_SURE = 3.0  # standard errors of a difference


def _settings(scale: str) -> dict[str, Any]:
    """The sweep's smallest learning rate, over the same learning rate × steps."""
    sweep = SWEEPS[scale]
    return {"recipe": sweep["recipe"], "changes": sweep["changes"], "lr": min(sweep["lrs"]), "steps": sweep["lr_steps"]}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train at the learning rate and evaluate after every epoch."""
    changes = (*settings["changes"], f"optimizer.lr={settings['lr']!r}")
    task = prepare(load_recipe(settings["recipe"], changes=changes))
    epochs = max(2, round(settings["steps"] / settings["lr"] / task.steps_per_epoch))
    length = (f"epochs={epochs}", f"measure.snapshot_epochs={epochs}")
    study = complete_study(
        training(settings["recipe"], (*changes, *length), ks=(1,), seeds=(1,)), work, controlled=False
    )
    (trial,) = study.grid().stored.values()
    return {
        "lr": settings["lr"],
        "images": len(task.test_labels),
        **{name: [row[name] for row in trial.metrics] for name in ("step", "test_accuracy", "train_loss")},
    }


def claims(result: Result) -> list[Claim]:
    """Accuracy rises, from chance or not, and the loss falls: the training is not stuck."""
    accuracy, loss = result["test_accuracy"], result["train_loss"]
    first, last, third = accuracy[0], accuracy[-1], max(1, len(loss) // 3)
    error = sqrt(sum(accuracy * (100 - accuracy) for accuracy in (first, last)) / result["images"])
    return [
        claim(
            "Test accuracy rises from the first epoch to the last, by more than the test set's error",
            published="increasing",
            measured=[first, last],
            interval=[last - first - _SURE * error, last - first + _SURE * error],
            holds=last - first > _SURE * error,
            reason=f"The interval is of the rise in points, ± {_SURE:g} standard errors.",
        ),
        claim(
            f"It ends at twice that of chance, {_CHANCE:g} %, or above",
            published=None,
            measured=last,
            holds=last >= 2 * _CHANCE,
        ),
        claim(
            "The training loss still falls: its mean is lower in the last third of the epochs than in the second",
            published="not stuck at a local minimum",
            measured=[_mean(loss[third : 2 * third]), _mean(loss[2 * third :])],
            holds=_mean(loss[2 * third :]) < _mean(loss[third : 2 * third]),
        ),
    ]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def draw(result: Result) -> list[Drawing]:
    """Test accuracy over training."""
    return [learning_figure(result)]


def learning_figure(result: Mapping[str, Any]) -> Figure:
    """Figure 10: test accuracy over one training.

    Args:
        result: its `lr`, and `test_accuracy` in percent at each `step`.
    """
    accuracy = result["test_accuracy"]
    chart = line_chart(
        [cut(f"lr = {result['lr']:.3g}", result["step"], accuracy)],
        x=STEPS,
        y=Axis("test accuracy (%)", name="test accuracy"),
    )
    title = f"At lr = {result['lr']:.3g} test accuracy goes from {accuracy[0]:.1f} to {accuracy[-1]:.1f} %"
    return Figure("learning", title, "After every epoch; one run, k = 1.", chart)


FIGURE10 = Item(
    id="figure10",
    order=209,
    title="At the smallest learning rate training is not stuck: its accuracy rises",
    shows="Test accuracy over a training at the smallest learning rate of Figure 3, right.",
    scales={
        "smoke": ItemScale(_settings("smoke"), f"{SWEEP_CUTS}; a larger learning rate", Cost(seconds=3.0)),
        "laptop": ItemScale(_settings("laptop"), SWEEP_CUTS, Cost(seconds=150.0, memory_mib=800, disk_mib=5)),
        "paper": ItemScale(
            _settings("paper"), "", Cost(seconds=2.2e6, memory_mib=4000, disk_mib=50, data=("cifar10",))
        ),
    },
    published={"lr": 3.125e-6, "test_accuracy": "increasing (the curve's numbers are not in the text)"},
    run=run,
    claims=claims,
    draw=draw,
    trains=True,
)
