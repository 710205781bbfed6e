"""Beyond the paper: how far ahead a training can be predicted, with ReLU and with Swish as β approaches ReLU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from lastbit.divergence import horizon
from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, rounded, run_jobs
from lastbit.paper.items.resnet56_growth import finite, horizon_level, recipe_twins
from lastbit.report.charts import STEPS, Axis, Dot, Figure, Mean, cut, dot_chart, line_chart
from lastbit.report.numbers import scientific
from lastbit.report.study.weights import DISTANCE

RELU = None  # stands for β's limit

# A weight that passes through 0 alone moves RelL1 of these 24,000 by 1e-4, which is no horizon: 1e-2 is beyond that.
# The learning rate stays where it is: lowering it would end the growth before it can be told apart from a plateau.
_PAPER: Settings = {
    "recipe": "demo",
    "changes": ["schedule.milestones=[]"],
    "betas": [1.0, 5.0, 20.0, 50.0, 100.0, 300.0, RELU],
    "seeds": [1, 2, 3, 4, 5, 6],
    "steps": 2000,
    "ks": [1, 3],
    "level": 1e-2,
}
_LAPTOP: Settings = {**_PAPER, "betas": [1.0, 5.0, 20.0, 100.0, 300.0, RELU], "seeds": [1, 2, 3], "steps": 800}
_SMOKE: Settings = {
    **_PAPER,
    "changes": ["schedule.milestones=[]", "data.train=512", "data.test=200", "batch_size=64"],
    "betas": [1.0, 300.0, RELU],
    "seeds": [1],
    "steps": 96,
}

_DIGITS = 3  # of RelL1, which is drawn
_FAR = 2.0  # times ReLU's horizon
_NEAR = 2.0  # times it, or part of it


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train twins for each activation and batch order, and find the step at which they have parted."""
    arguments = [
        {"recipe": settings["recipe"], "changes": [*settings["changes"], *_activation(beta)], "seed": seed}
        | {name: settings[name] for name in ("steps", "ks")}
        for beta in settings["betas"]
        for seed in settings["seeds"]
    ]
    keys = [{"beta": beta, "seed": seed} for beta in settings["betas"] for seed in settings["seeds"]]
    pairs = run_jobs(twins, arguments, work)
    runs = [
        {**key, **twins, "horizon": horizon(finite(twins["rel_l1"]), twins["step"], level=settings["level"])}
        for key, twins in zip(keys, pairs, strict=True)
    ]
    return {"runs": runs, "activations": [_summary(runs, beta) for beta in settings["betas"]]}


def _activation(beta: float | None) -> list[str]:
    return [] if beta is RELU else ["model.activation=swish", f"model.beta={beta}"]


def twins(*, recipe: str, changes: list[str], seed: int, steps: int, ks: list[int]) -> dict[str, Any]:
    """Train twins of a recipe and return RelL1 after each step, churn and accuracies, as plain JSON."""
    run = recipe_twins(recipe, changes, ks=ks, seed=seed, steps=steps)
    history = run.history
    return {
        "step": list(history.steps),
        "rel_l1": rounded(history.rel_l1, _DIGITS),
        "first_flip": next((s for s, n in zip(history.steps, history.flips, strict=True) if n), None),
        "churn": run.churn,
        "test_accuracy": list(run.accuracies),
    }


def _summary(runs: Sequence[Any], beta: float | None) -> dict[str, Any]:
    horizons = [run["horizon"] for run in runs if run["beta"] == beta]
    known = [step for step in horizons if step is not None]
    return {
        "beta": beta,
        "name": name_of(beta),
        "horizons": horizons,
        "never": len(horizons) - len(known),
        "median": median(finite(horizons)),  # null in the result where it is beyond the run
        "range": [min(known), max(known)] if known else None,
    }


def name_of(beta: float | None) -> str:
    """The name of an activation, for people."""
    return "ReLU" if beta is RELU else f"Swish, β = {beta:g}"


def claims(result: Result) -> list[Claim]:
    """ReLU's twins part; Swish's at β = 1 do not in this time; the larger β, the earlier; in the limit as with ReLU."""
    settings, rows = result["settings"], result["activations"]
    relu = next(row for row in rows if row["beta"] is RELU)
    swish = [row for row in rows if row["beta"] is not RELU]
    level, steps = settings["level"], settings["steps"]
    return [
        claim(
            f"With ReLU the twins pass RelL1 = {level:g} within {steps:,} steps, whatever the order of batches",
            published="the difference rapidly grows",
            measured=relu["horizons"],
            interval=relu["range"],
            holds=relu["never"] == 0,
        ),
        _as_relu(swish[0], relu, steps),
        _is_further(swish[0], relu, steps),
        _falls(swish, steps),
        _is_the_limit(swish[-1], relu),
    ]


def _as_relu(first: Any, relu: Any, steps: int) -> Claim:
    passed = first["never"] == 0
    return claim(
        f"With {first['name']} the last bit is amplified like with ReLU",
        published="similar to ReLU (ResNet-56, β = 5, 200 epochs)",
        measured={first["name"]: first["horizons"], "ReLU": relu["horizons"]},
        interval=first["range"],
        holds=_within(first, relu) if passed else None,
        reason="" if passed else f"Not amplified to this level in {steps:,} steps; a longer training may.",
    )


def _within(row: Any, relu: Any) -> bool:
    if row["median"] is None or relu["median"] is None:
        return False
    return bool(1.0 / _NEAR <= row["median"] / relu["median"] <= _NEAR)


def _is_further(first: Any, relu: Any, steps: int) -> Claim:
    ends = [steps if step is None else step for step in first["horizons"]]
    latest = None if relu["never"] else max(relu["horizons"])
    return claim(
        f"With {first['name']} the horizon is at least {_FAR:g} times as far as with ReLU",
        published=None,
        measured={first["name"]: first["horizons"], "ReLU": relu["horizons"]},
        interval=[min(ends) / latest, max(ends) / latest] if latest else None,
        holds=None if latest is None else _is_far(first["horizons"], _FAR * latest, steps),
        reason=f"null: beyond the run, which counts as {steps:,} steps, too few to tell where they are less than "
        f"{_FAR:g} of ReLU’s horizons; the interval is of the ratios.",
    )


def _is_far(horizons: Sequence[int | None], far: float, steps: int) -> bool | None:
    """Whether all horizons are beyond a step; None if the run is too short to tell."""
    if any(step is not None and step < far for step in horizons):
        return False
    return True if steps >= far else None


def _falls(rows: Sequence[Any], steps: int) -> Claim:
    medians = finite([row["median"] for row in rows])
    return claim(
        "The larger β, the nearer the horizon",
        published="Swish approaches ReLU as β → ∞",
        measured={row["name"]: row["median"] for row in rows},
        holds=medians == sorted(medians, reverse=True) and medians[0] > medians[-1],
        reason=f"Medians over seeds; null: beyond the {steps:,} steps of the run.",
    )


def _is_the_limit(last: Any, relu: Any) -> Claim:
    return claim(
        f"At the largest β, {last['name']}, the horizon is within {_NEAR:g} times ReLU's",
        published="Swish approaches ReLU as β → ∞",
        measured={last["name"]: last["horizons"], "ReLU": relu["horizons"]},
        interval=last["range"],
        holds=_within(last, relu),
    )


def draw(result: Result) -> list[Drawing]:
    """RelL1 by activation along the first seed's training, and the horizon of every run."""
    return [_activations(result), _horizons(result)]


def _activations(result: Mapping[str, Any]) -> Figure:
    seed, activations = result["settings"]["seeds"][0], result["activations"]
    runs = {run["beta"]: run for run in result["runs"] if run["seed"] == seed}
    curves = [cut(row["name"], runs[row["beta"]]["step"], runs[row["beta"]]["rel_l1"]) for row in activations]
    ends = [f"{curve.label} ends at {scientific(curve.points()[-1][1])}" for curve in curves if curve.points()]
    note = (
        f"RelL1 between twins, k = 3 against k = 1, seed {seed}, everything else the same. The horizon is where a "
        "curve crosses the dashed line."
    )
    chart = line_chart(curves, x=STEPS, y=DISTANCE, levels=[horizon_level(result["settings"]["level"])], columns=3)
    return Figure("beta-rel-l1", f"{ends[0]}, {ends[-1]}", note, chart)


def _horizons(result: Mapping[str, Any]) -> Figure:
    taken, activations = result["settings"]["steps"], result["activations"]
    named = [f"{row['name']}: {_median(row)}" for row in (activations[0], activations[-1])]
    note = (
        f"A mark for each order of the batches, a bar for the median. A run is called beyond when RelL1 had not passed "
        f"the level when it ended after {taken:,} steps."
    )
    chart = dot_chart(
        list(_horizon_dots(activations, taken)),
        groups=[row["name"] for row in activations],
        value=Axis("step at which twins have parted", name="step", log=True, counts=True, format=","),
        kinds=["passed", "beyond the run"],
        upright=False,
        behind=[Mean(row["name"], row["median"]) for row in activations if row["median"] is not None],
        height=34 * len(activations) + 20,
    )
    return Figure("beta-horizon", f"Median horizon with {'; with '.join(named)}", note, chart)


def _median(row: Mapping[str, Any]) -> str:
    return "beyond the run" if row["median"] is None else f"step {row['median']:,.0f}"


def _horizon_dots(activations: Sequence[Mapping[str, Any]], taken: int) -> Iterator[Dot]:
    for row in activations:
        for step in row["horizons"]:
            yield Dot(row["name"], taken, "beyond the run") if step is None else Dot(row["name"], step, "passed")


BETA = Item(
    id="beta",
    order=302,
    title="How far ahead training can be predicted: Swish, from β = 1 towards ReLU",
    shows="The step at which twins that differ in the last bit have parted, by activation.",
    scales={
        "smoke": ItemScale(
            _SMOKE,
            "512 of 4,000 images, 96 of 2,000 steps, one of six orders of batches, three of seven activations",
            Cost(seconds=10.0),
        ),
        "laptop": ItemScale(
            _LAPTOP, "800 of 2,000 steps, three of six orders of batches, six of seven activations", Cost(seconds=700.0)
        ),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=4000.0)),
    },
    published={"swish": "similar to ReLU; the paper’s own networks use β = 5"},
    run=run,
    claims=claims,
    draw=draw,
    trains=True,
)
