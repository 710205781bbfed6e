"""Figure 9: weight decay and depth, the largest stable learning rate of one and two convolutions (paper, section 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lastbit.curvature import EDGE
from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.items.descents import NORMALISED, convolutional_descent, follow, layers, stable_bracket
from lastbit.report.charts import Axis, Curve, Figure, line_chart
from lastbit.report.numbers import joined, significant
from lastbit.report.sharpness.charts import EDGE_LEVEL
from lastbit.report.table import Table

# The paper's weight decay and beta are lost.
_PAPER: Settings = {
    "every_image": 1,
    "weight_decay": 1e-3,
    "steps": 1000,
    "every": 100,
    "seeds": [0, 1, 2],
    "sweeps": {"1": [20, 40, 60, 80, 100], "2": [3, 6, 9, 12, 20, 40]},
    "ratio": 1.02,
}
_LAPTOP: Settings = {**_PAPER, "every_image": 8, "steps": 600}
_SMOKE: Settings = {
    **_PAPER,
    "every_image": 28,
    "steps": 300,
    "seeds": [0],
    "sweeps": {"1": [60, 100], "2": [8, 16]},
    "ratio": 1.3,
}
_PUBLISHED = {"1": [90, 100], "2": [10, 20]}
_DECIDES = 0.1  # how near, in relative terms, the threshold must come to the edge to be called the same


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """For each depth and initial kernel, train at some learning rates, then bisect for the largest stable one."""
    pairs = [(int(depth), seed) for depth in settings["sweeps"] for seed in settings["seeds"]]
    return {"searches": [_search(settings, depth, seed, work.device) for depth, seed in pairs]}


def _search(settings: Settings, depth: int, seed: int, device: str) -> dict[str, Any]:
    runs = [_train(settings, depth, seed, lr, device) for lr in settings["sweeps"][str(depth)]]
    predicted = _edge(runs)
    while (bracket := _bracket(runs)) is not None and bracket[1] > settings["ratio"] * bracket[0]:
        runs.append(_train(settings, depth, seed, (bracket[0] * bracket[1]) ** 0.5, device))
    return {
        "depth": depth,
        "seed": seed,
        "edge": predicted,
        "bracket": None if bracket is None else list(bracket),
        "runs": sorted(runs, key=lambda run: float(run["lr"])),
    }


def _train(settings: Settings, depth: int, seed: int, lr: float, device: str) -> dict[str, Any]:
    descent, batch = convolutional_descent(settings, depth, seed=seed, lr=lr, device=device)
    training = follow(descent, batch, steps=settings["steps"], every=settings["every"])
    return {**training, "loss": training["loss"][:: settings["every"]]}  # at the steps where the sharpness is measured


def _bracket(runs: Sequence[Any]) -> tuple[float, float] | None:
    """The largest stable learning rate below the smallest unstable one, and that one."""
    return stable_bracket(runs, [run["lr"] for run in runs if run["regime"] != "stable"])


def _edge(runs: Sequence[Any]) -> float | None:
    """2 over the final sharpness at the largest stable learning rate of the sweep; None if there is none."""
    bracket = _bracket(runs)
    if bracket is None:
        return None
    (last,) = [run for run in runs if run["lr"] == bracket[0]]
    return float(EDGE * last["lr"] / last["sharpness"]["normalised"][-1])


def claims(result: Result) -> list[Claim]:
    """That depth lowers the largest stable learning rate; where it is; that it is the edge of stability."""
    searches = result["searches"]
    return [
        _falls(searches),
        *(_is_where_published(searches, depth) for depth in ("1", "2")),
        _is_the_edge(searches),
        _is_stable_below_only(searches),
    ]


def _brackets(searches: Sequence[Any], depth: str) -> list[Sequence[float]]:
    return [search["bracket"] for search in searches if str(search["depth"]) == depth and search["bracket"] is not None]


def _span(brackets: Sequence[Sequence[float]]) -> list[float] | None:
    return [min(low for low, _ in brackets), max(high for _, high in brackets)] if brackets else None


def _endless(searches: Sequence[Any]) -> str:
    """The searches in whose sweep stability does not end, in words; empty if there are none."""
    names = [f"{search['depth']} layer(s), seed {search['seed']}" for search in searches if search["bracket"] is None]
    return f" No largest stable learning rate within the sweep: {'; '.join(names)}." if names else ""


def _falls(searches: Sequence[Any]) -> Claim:
    one, two = (_span(_brackets(searches, depth)) for depth in ("1", "2"))
    endless = _endless(searches)
    lower = None if one is None or two is None else two[1] < one[0]
    return claim(
        "With weight decay, two layers are stable up to a lower learning rate than one",
        published=_PUBLISHED,
        measured={"1": one, "2": two},
        holds=None if lower and endless else lower,
        reason=endless.strip(),
    )


def _is_where_published(searches: Sequence[Any], depth: str) -> Claim:
    low, high = _PUBLISHED[depth]
    brackets = _brackets(searches, depth)
    holds = _inside(brackets, low, high)
    return claim(
        f"The largest stable learning rate of {depth} layer{'s' if depth != '1' else ''} is between {low} and {high}",
        published=[low, high],
        measured=brackets,
        interval=_span(brackets),
        holds=holds,
        reason=("" if holds is not None else "No bracket here is narrow enough to tell. ")
        + "The paper's weight decay, β, initial kernels and images are not known; a bracket for each initial "
        "kernel here." + _endless([search for search in searches if str(search["depth"]) == depth]),
    )


def _inside(brackets: Sequence[Sequence[float]], low: float, high: float) -> bool | None:
    """Whether all brackets lie between two values; None if one is too wide to tell, or there are none."""
    if any(upper < low or lower > high for lower, upper in brackets):
        return False
    return True if brackets and all(low <= lower and upper <= high for lower, upper in brackets) else None


def _is_the_edge(searches: Sequence[Any]) -> Claim:
    measured = [[search["edge"], *search["bracket"]] for search in searches if search["bracket"] is not None]
    near = [low * (1.0 - _DECIDES) < edge < high * (1.0 + _DECIDES) for edge, low, high in measured]
    return claim(
        "It is 2/λ, λ the sharpness (weight decay included) of the minimum that a stable descent came to before",
        published=None,
        measured=measured,
        holds=bool(near) and all(near),
        reason="Measured are 2/λ and the bracket of the largest stable learning rate, for each depth and kernel."
        + _endless(searches),
    )


def _is_stable_below_only(searches: Sequence[Any]) -> Claim:
    again = [
        [search["depth"], search["seed"], run["lr"]]
        for search in searches
        for run in search["runs"]
        if search["bracket"] is not None and run["lr"] > search["bracket"][1] and run["regime"] == "stable"
    ]
    return claim(
        "Beyond it no learning rate is stable",
        published="an upper bound",
        measured=again,
        holds=not again,
        reason=""
        if not again
        else "There a descent left the minimum and settled in a flatter one (depth, kernel, lr).",
    )


def draw(result: Result) -> list[Drawing]:
    """Where every descent ended, by depth, and a table of the largest stable learning rate of each network."""
    searches = result["searches"]
    note = (
        "Where each descent ended, by depth; a descent is stable when its updates die out or stop reversing. Below the "
        "edge the sharpness is that of the minimum, in proportion to the learning rate; beyond, it is that of the last "
        "point of the oscillation."
    )
    curves = list(_end_points(searches))
    rates = [lr for curve in curves for lr in curve.x]
    chart = line_chart(
        curves,
        x=Axis("learning rate", name="lr", log=True, domain=(0.8 * min(rates), 1.25 * max(rates))),
        y=Axis(f"{NORMALISED.title} at the end", name=NORMALISED.name),
        levels=[EDGE_LEVEL],
        columns=3,
    )
    by_depth = {search["depth"]: _brackets(searches, str(search["depth"])) for search in searches}
    stable = joined(f"{layers(depth)} up to lr {_ends_of(known)}" for depth, known in by_depth.items() if known)
    return [Figure("figure9-sharpness", f"Stable with weight decay: {stable}", note, chart), _rates_table(searches)]


def _end_points(searches: Sequence[Any]) -> Iterator[Curve]:
    """Points of the descents of each depth and outcome."""
    points: dict[str, list[tuple[float, float]]] = {}
    for search in searches:
        for run in search["runs"]:
            outcome = "stable" if run["regime"] == "stable" else "unstable"
            end = run["sharpness"]["normalised"][-1]
            if end is not None:
                points.setdefault(f"{layers(search['depth'])}, {outcome}", []).append((run["lr"], end))
    for label, ends in points.items():
        yield Curve(label, [lr for lr, _ in ends], [end for _, end in ends], style="points")


def _ends_of(brackets: Sequence[Sequence[float]]) -> str:
    ends = [significant(end, 3) for end in (min(b[0] for b in brackets), max(b[0] for b in brackets))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _rates_table(searches: Sequence[Any]) -> Table:
    known = [search for search in searches if search["bracket"] is not None]
    return Table(
        "figure9-rates",
        f"2/λ and the largest stable learning rate, found in {len(known)} of {len(searches)} searches",
        ["layers", "initial kernels", "2/λ", "stable at", "unstable at"],
        [_rate_cells(search) for search in searches],
        "λ is the sharpness, weight decay included, at which the largest stable learning rate of a coarse sweep ended; "
        f"the largest stable learning rate is then found by bisection. The edge is at {EDGE:g}.",
        align="llrrr",
    )


def _rate_cells(search: Any) -> list[str]:
    bracket = search["bracket"]
    rates = ["none found"] * 3 if bracket is None else [significant(value) for value in (search["edge"], *bracket)]
    return [str(search["depth"]), f"seed {search['seed']}", *rates]


FIGURE9 = Item(
    id="figure9",
    order=54,
    title="With weight decay too, a deeper network is stable at smaller learning rates only",
    shows="The largest stable learning rate of one and two convolutions on zeros and ones of MNIST, by bisection.",
    scales={
        "smoke": ItemScale(
            _SMOKE,
            "every 28th of 2,128 images, 300 of 1000 steps, one of three initial kernels, a coarse bisection",
            Cost(seconds=8.0),
        ),
        "laptop": ItemScale(_LAPTOP, "every 8th of 2,128 images, 600 of 1000 steps", Cost(seconds=220.0)),
        # Extrapolated: eight times the images, and 1000 steps for 600.
        "paper": ItemScale(_PAPER, cost=Cost(seconds=2900.0, memory_mib=800)),
    },
    published={"largest_stable_lr": _PUBLISHED},
    run=run,
    claims=claims,
    draw=draw,
    descends=True,
)
