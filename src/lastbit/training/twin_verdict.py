"""What a run of twins says, in sentences with numbers."""

from collections.abc import Sequence

from lastbit.divergence import Jump, stays_apart
from lastbit.report.numbers import scientific
from lastbit.training.twin_run import TwinRun


def twin_verdict(runs: Sequence[TwinRun]) -> str:
    """Say of each pair how far it came, what made it leap, and whether predictions changed."""
    return " ".join(f"{run.noise} against {run.baseline}: {_distance(run)} {_jumps(run)} {_end(run)}" for run in runs)


def _distance(run: TwinRun) -> str:
    history, found = run.history, run.growth
    positive = [value for value in history.relative_l2 if value > 0]
    if not positive:
        return f"bit-identical after all {len(history.steps):,} steps."
    if found.diverged_at is not None:
        return f"the training diverged at step {found.diverged_at:,}."
    return (
        f"in {len(history.steps):,} steps the weights' relative distance grew from {scientific(positive[0])} to "
        f"{scientific(positive[-1])}."
    )


def _jumps(run: TwinRun) -> str:
    if not run.growth.jumps:
        kinks = "" if run.history.activations else " and no activation has a kink"
        return f"No step makes it leap{kinks}."
    largest = max(run.growth.jumps, key=lambda jump: jump.factor)
    origin = run.history.origin(largest)
    flips = sum(origin.flips.values())
    others = f" ({len(run.growth.jumps) - 1} more jumps)" if len(run.growth.jumps) > 1 else ""
    back = (
        " It comes back: the distance at the end is less than ten times that before the leap."
        if _comes_back(run, largest)
        else ""
    )
    return (
        f"It leaps {largest.factor:.0f}-fold at step {largest.step:,}, most in {origin.tensor}, where {flips:,} of "
        f"{run.history.activations:,} activations lie on different sides of their kink{others}.{back}"
    )


def _comes_back(run: TwinRun, jump: Jump) -> bool:
    """Whether the twins are no longer apart at the end, as far as the jump took them."""
    distances = dict(zip(run.history.steps, run.history.relative_l2, strict=True))
    return not stays_apart(distances.get(jump.before, 0.0), run.history.relative_l2[-1])


def _end(run: TwinRun) -> str:
    return f"The twins disagree on {run.churn:.1f} % of the test images."
