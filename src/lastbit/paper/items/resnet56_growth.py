"""Beyond the paper's figures: the growth of the last bit in its own network and data, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.divergence import horizon
from lastbit.execution.numerics import repeatable_numerics
from lastbit.noise import Scale as Noise
from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, rounded, run_jobs
from lastbit.report.charts import STEPS, Figure, Level, cut, line_chart
from lastbit.report.growth.charts import distance_figure, flips_figure
from lastbit.report.numbers import scientific
from lastbit.report.study.weights import DISTANCE, RELL1
from lastbit.training.catalogue import load_recipe
from lastbit.training.task import prepare
from lastbit.training.twins import TwinRun, run_twins

_LAST_BIT = 1e-6  # RelL1 of weights some of which differ in the last bit
_GROWN, _FACTOR = 1e-2, 1e4
_LATE = 4  # the last quarter of a run shows whether growth has stopped
_STOPPED = 2.0

_DIGITS = 4  # of what is drawn


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train the twins."""
    (pair,) = run_jobs(step_by_step, [settings], work)
    return {"pair": pair, "horizon": horizon(finite(pair["rel_l1"]), pair["step"], level=_GROWN)}


def recipe_twins(recipe: str, changes: Sequence[str], *, ks: Sequence[int], seed: int, steps: int) -> TwinRun:
    """Train twins of a recipe with numerics that repeat.

    Args:
        recipe: a built-in one's name.
        changes: of its fields, such as `optimizer.lr=0.05`.
        ks: of the first twin and of the second.
        seed: of batch order and augmentation.
        steps: updates of each twin.
    """
    chosen = load_recipe(recipe, changes=tuple(changes))
    baseline, noise = map(Noise, ks)
    with repeatable_numerics():
        return run_twins(chosen, prepare(chosen), noise=noise, baseline=baseline, seed=seed, steps=steps)


def finite(values: Sequence[float | None]) -> list[float]:
    """Return distances with the infinities that JSON turned into null."""
    return [float("inf") if value is None else value for value in values]


def step_by_step(*, recipe: str, changes: list[str], ks: list[int], seed: int, steps: int) -> dict[str, Any]:
    """Train twins of a recipe and compare them after every step, as plain JSON."""
    run = recipe_twins(recipe, changes, ks=ks, seed=seed, steps=steps).as_json()
    for name in ("norms", "flips_by_module"):  # tensor by tensor: megabytes
        del run[name]
    return {**run, **{name: rounded(run[name], _DIGITS) for name in ("rel_l1", "relative_l2")}}


def claims(result: Result) -> list[Claim]:
    """From the last bit, exponentially, to a plateau."""
    values, steps = result["pair"]["rel_l1"], result["settings"]["steps"]
    positive = [value for value in values if value]
    first = positive[0] if positive else 0.0
    segments = [segment for segment in result["pair"]["growth"]["segments"] if segment["lower"] > 0]
    fastest = max(segments, key=lambda segment: float(segment["rate"]), default=None)
    return [
        claim(
            f"The twins begin to differ by no more than last bits: RelL1 is below {_LAST_BIT:g} after the first step",
            published="on the order of 2^-24 = 6e-8, relative",
            measured=first,
            holds=0 < first < _LAST_BIT,
        ),
        claim(
            f"RelL1 grows {_FACTOR:,.0f}-fold or more and passes {_GROWN:g} within {steps} steps",
            published="the difference rapidly grows (over epochs)",
            measured=[max(positive, default=0.0), result["horizon"]],
            holds=first > 0 and max(positive) >= _FACTOR * first and result["horizon"] is not None,
            reason="Measured are the largest RelL1 and the step at which it passes the level.",
        ),
        claim(
            "At first the distance grows exponentially, at a rate that stands out from its fluctuation",
            published=None,
            measured=None if fastest is None else fastest["rate"],
            interval=None if fastest is None else [fastest["lower"], fastest["upper"]],
            holds=fastest is not None,
            reason="Of the relative L2 distance, per step, in the fastest stretch between jumps.",
        ),
        _levels_off(values),
    ]


def _levels_off(values: list[float | None]) -> Claim:
    last, before = values[-1], values[-1 - len(values) // _LATE]
    known = last is not None and bool(before)
    factor = last / before if known else None  # type: ignore[operator]
    return claim(
        "Then it levels off: in the last quarter of the steps it grows less than twofold, and stays below 2",
        published="the growth is restrained",
        measured=factor,
        interval=None if last is None else [last, last],
        holds=factor is not None and factor < _STOPPED and last is not None and last < 2,
        reason="The interval is RelL1 at the end.",
    )


def draw(result: Result) -> list[Drawing]:
    """RelL1 and the relative L2 distance by step, and the activations that flip."""
    pairs = [result["pair"]]
    return [step_by_step_figure(result["pair"], result["horizon"]), distance_figure(pairs), flips_figure(pairs)]


_PAPER: Settings = {"recipe": "resnet56-cifar10", "changes": ["data.test=500"], "ks": [1, 3], "seed": 1, "steps": 100}
_SMOKE: Settings = {
    **_PAPER,
    "recipe": "demo",
    "changes": ["schedule.milestones=[]", "data.train=2560", "data.test=200", "batch_size=64"],
}

_HORIZON = 1e-2


def step_by_step_figure(pair: Mapping[str, Any], horizon: int | None) -> Figure:
    """RelL1 of twins after every step (the item `resnet56-growth`).

    Args:
        pair: with `rel_l1` after each `step`.
        horizon: the step at which it passes the level.
    """
    chart = line_chart(
        [cut(pair["noise"], pair["step"], pair["rel_l1"])], x=STEPS, y=DISTANCE, levels=[horizon_level(_HORIZON)]
    )
    first, last = ((pair["rel_l1"][i] or 0.0) for i in (0, -1))
    passed = f"passes {scientific(_HORIZON)} at step {horizon:,}" if horizon is not None else "does not pass the level"
    title = f"RelL1 is {scientific(first)} after one step, {passed} and ends at {scientific(last)}"
    return Figure("step-by-step", title, f"{RELL1} k = 3 against k = 1, one seed.", chart)


def horizon_level(value: float) -> Level:
    """The line at the relative weight distance that defines the horizon."""
    return Level(value, f"horizon {scientific(value)}")


RESNET56_GROWTH = Item(
    id="resnet56-growth",
    order=301,
    title="In ResNet-56 on full batches of CIFAR-10 the last bit grows to its plateau within an epoch",
    shows="RelL1 between k = 3 and k = 1 after every update, from the first.",
    scales={
        "smoke": ItemScale(
            _SMOKE,
            "a network of three convolutions on images of Fashion-MNIST in place of ResNet-56 on CIFAR-10",
            Cost(seconds=5.0),
        ),
        "laptop": ItemScale(
            _PAPER, "a fourth of the first epoch", Cost(seconds=380.0, memory_mib=3000, data=("cifar10",))
        ),
        "paper": ItemScale(
            {**_PAPER, "steps": 400},
            "",
            Cost(seconds=1500.0, memory_mib=3000, data=("cifar10",)),
        ),
    },
    published={
        "figure 3, left": "RelL1 grows rapidly, then its growth is restrained; the curve's numbers are not in the text"
    },
    run=run,
    claims=claims,
    draw=draw,
)
