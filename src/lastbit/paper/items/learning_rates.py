"""Figure 3, right, and Figure 10: training at constant learning rates, from large to small (section 4.2, appendix C).

The twins of Figure 3 are trained over equal learning rate × steps. Figure 10 is the training at the smallest of these
learning rates, at which errors are not amplified: it still learns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import median
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, rounded, run_jobs
from lastbit.paper.items.accuracy_studies import complete_study, training
from lastbit.paper.items.resnet56_growth import finite, recipe_twins
from lastbit.report.charts import STEPS, Axis, Figure, cut, line_chart
from lastbit.training.catalogue import load_recipe
from lastbit.training.task import prepare

_PLAIN = ("optimizer.momentum=0.0", "optimizer.nesterov=false", "schedule.milestones=[]")
# Sharper activations and larger steps than the small network's usual ones, for it to be unstable at some.
_SMALL = (*_PLAIN, "model.activation=swish", "model.beta=5.0", "batch_size=64", "data.train=2560", "data.test=1000")
_LRS = (1.6, 0.4, 0.1, 0.025, 0.00625)

SWEEPS: dict[str, Settings] = {
    "smoke": {
        "recipe": "demo",
        "changes": [*_SMALL, "data.train=640", "data.test=200"],
        "lrs": [1.6, 0.1],
        "lr_steps": 16.0,
        "points": 40,
    },
    "laptop": {"recipe": "demo", "changes": [*_SMALL], "lrs": [*_LRS], "lr_steps": 64.0, "points": 80},
    "paper": {
        "recipe": "resnet56-swish-cifar10",
        "changes": [*_PLAIN],
        "lrs": [0.1 / n for n in (2, 4, 8, 16, 32, 320, 3200, 32_000)],
        "lr_steps": 39.1,
        "points": 200,
    },
}
SWEEP_CUTS = (
    "a network of three convolutions on images of Fashion-MNIST in place of ResNet-56 on CIFAR-10, learning rates from "
    "1.6, where it is unstable, in place of 0.05, batches of 64 in place of 128"
)

_DIGITS = 3  # of RelL1, which is drawn
_KS, _SEED = (1, 3), 1

_AMPLIFIED = 100.0  # from the first quarter to the last
# What adds up evenly is seven times as large in the middle of the last quarter as in that of the first.
_ADDED = 7.0
_ADDS_UP = (
    "lr·k rounds to a learning rate that differs from lr by some 1e-8 of it: twins part in proportion to the way they "
    "have come, even where nothing is amplified."
)


def steps_of(sweep: Settings, lr: float) -> int:
    """Return the number of updates at a learning rate that gives the sweep's learning rate × steps."""
    return round(float(sweep["lr_steps"]) / lr)


def sweep_twins(*, recipe: str, changes: Sequence[str], lr: float, steps: int, points: int) -> dict[str, Any]:
    """Train twins at a constant learning rate and return RelL1 at this many evenly spaced steps, as plain JSON."""
    history = recipe_twins(recipe, [*changes, f"optimizer.lr={lr!r}"], ks=_KS, seed=_SEED, steps=steps).history
    taken = len(history.steps)
    kept = sorted({round((place + 1) * taken / points) - 1 for place in range(points)} - {-1})
    return {
        "lr": lr,
        "step": [history.steps[i] for i in kept],
        "rel_l1": rounded([history.rel_l1[i] for i in kept], _DIGITS),
        "diverged": taken < steps,
    }


def run_sweep(sweep: Settings, work: Work) -> list[dict[str, Any]]:
    """Train twins at each learning rate of a sweep; `growth` is that of RelL1 from the first quarter to the last."""
    arguments = [
        {name: sweep[name] for name in ("recipe", "changes", "points")} | {"lr": lr, "steps": steps_of(sweep, lr)}
        for lr in sweep["lrs"]
    ]
    return [_with_growth(pair) for pair in run_jobs(sweep_twins, arguments, work)]


def _with_growth(twins: Mapping[str, Any]) -> dict[str, Any]:
    """Add the factor by which RelL1 grows from the first quarter of the steps to the last, by their medians."""
    values = finite(twins["rel_l1"])
    quarter = max(1, len(values) // 4)
    early, late = median(values[:quarter]), median(values[-quarter:])
    return {**twins, "growth": late / early if early > 0 else None}


def sweep_claims(pairs: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """Figure 3, right: errors are amplified at large learning rates and attenuated at small ones."""
    rates = sorted(pairs, key=lambda pair: -float(pair["lr"]))
    return [_is_amplified(rates[0]), _falls(rates), _only_adds_up(rates[-1]), _is_attenuated(rates[-1])]


def _is_amplified(largest: Mapping[str, Any]) -> Claim:
    growth = largest["growth"] or 0.0
    return claim(
        f"At the largest learning rate, {largest['lr']:g}, errors are amplified: RelL1 grows a hundredfold or more "
        "from the first quarter of the way to the last",
        published="amplified",
        measured=growth,
        holds=True if growth >= _AMPLIFIED else None if growth > _ADDED else False,
        reason=f"Errors that add up evenly grow {_ADDED:g}-fold; in between it is not decided.",
    )


def _falls(rates: Sequence[Mapping[str, Any]]) -> Claim:
    growths = [pair["growth"] for pair in rates]
    known = None not in growths
    return claim(
        "The smaller the learning rate, the less RelL1 grows over the same learning rate × steps",
        published="decreasing the learning rate to a small enough value can eliminate the divergence",
        measured={f"{pair['lr']:g}": pair["growth"] for pair in rates},
        holds=growths == sorted(growths, reverse=True) and growths[0] > growths[-1] if known else None,
        reason="" if known else "At a learning rate the twins stay bit-identical at first.",
    )


def _only_adds_up(smallest: Mapping[str, Any]) -> Claim:
    growth = smallest["growth"]
    return claim(
        f"At the smallest learning rate, {smallest['lr']:g}, errors are not amplified: RelL1 grows no faster than "
        f"errors that add up evenly, {_ADDED:g}-fold from the first quarter of the way to the last",
        published="decreasing the learning rate to a small enough value can eliminate the divergence",
        measured=growth,
        holds=growth is not None and growth <= _ADDED,
    )


def _is_attenuated(smallest: Mapping[str, Any]) -> Claim:
    growth = smallest["growth"]
    return claim(
        f"At the smallest learning rate, {smallest['lr']:g}, errors are attenuated: RelL1 is smaller in the last "
        "quarter of the way than in the first",
        published="attenuated at a learning rate of 3.125e-6",
        measured=growth,
        holds=growth is not None and growth < 1,
        reason="" if growth is None or growth < 1 else _ADDS_UP,
    )


_CHANCE = 10.0  # percent, of ten classes
_SURE = 3.0  # standard errors of a difference


def _settings(scale: str) -> dict[str, Any]:
    """The settings of Figure 10: the sweep's smallest learning rate, over the same learning rate × steps."""
    sweep = SWEEPS[scale]
    return {"recipe": sweep["recipe"], "changes": sweep["changes"], "lr": min(sweep["lrs"]), "steps": sweep["lr_steps"]}


def run_figure10(settings: Settings, work: Work) -> dict[str, Any]:
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


def claims_of_figure10(result: Result) -> list[Claim]:
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


def draw_figure10(result: Result) -> list[Drawing]:
    """Test accuracy over training."""
    accuracy = result["test_accuracy"]
    chart = line_chart(
        [cut(f"lr = {result['lr']:.3g}", result["step"], accuracy)],
        x=STEPS,
        y=Axis("test accuracy (%)", name="test accuracy"),
    )
    title = f"At lr = {result['lr']:.3g} test accuracy goes from {accuracy[0]:.1f} to {accuracy[-1]:.1f} %"
    return [Figure("learning", title, "After every epoch; one run, k = 1.", chart)]


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
    run=run_figure10,
    claims=claims_of_figure10,
    draw=draw_figure10,
    trains=True,
)
