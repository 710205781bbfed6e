"""Twins: two trainings of one recipe in lock-step that differ in nothing but their noise, and their verdict."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from lastbit.divergence import (
    Growth,
    History,
    Jump,
    LinearGrowth,
    Linearised,
    LogitDistance,
    Twins,
    churn,
    logit_distance,
    stays_apart,
)
from lastbit.noise import Noise
from lastbit.report.numbers import scientific
from lastbit.training.evaluation import evaluate_trained
from lastbit.training.loop import Stepper, recipe_stepper
from lastbit.training.recipe import Recipe
from lastbit.training.task import Task


@dataclass(frozen=True)
class TwinRun:
    """Twins at the end of their training: the distance after every step, and what both predict."""

    noise: str  # label of the second twin's noise
    baseline: str  # label of the first twin's noise
    history: History
    growth: Growth  # of the relative L2 distance
    accuracies: tuple[float, float]  # percent of the test set, the baseline's first
    churn: float  # percent of the test set on which the two disagree
    logits: LogitDistance  # on the test set
    linear: LinearGrowth | None = None  # what linearised training predicts, where that was asked for

    def as_json(self) -> dict[str, Any]:
        """Plain JSON of all fields, with the origin of each jump."""
        history = self.history
        linear = {} if self.linear is None else {"linearised": self._linear(self.linear)}
        return linear | {
            "noise": self.noise,
            "baseline": self.baseline,
            "step": list(history.steps),
            "rel_l1": list(history.rel_l1),
            "relative_l2": list(history.relative_l2),
            "growth": self.growth.as_json() | {"jumps": [self._jump(jump) for jump in self.growth.jumps]},
            "activations": history.activations,
            "flips": list(history.flips),
            "flips_by_module": {name: list(counts) for name, counts in history.sides.items()},
            "norms": {name: list(norms) for name, norms in history.norms.items()},
            "test_accuracy": list(self.accuracies),
            "churn": self.churn,
            "logits": asdict(self.logits),
        }

    @property
    def verdict(self) -> str:
        """How far apart the pair came, what made the distance leap, and whether predictions differ, in sentences."""
        return (
            f"{self.noise} against {self.baseline}: {_distance(self)} {_jumps(self)} {_prediction(self)}"
            f"The twins disagree on {self.churn:.1f} % of the test images."
        )

    def _jump(self, jump: Jump) -> dict[str, Any]:
        origin = self.history.origin(jump)
        flips = {"flips": sum(origin.flips.values()), "flips_by_module": origin.flips}
        return {**asdict(jump), "layer": origin.tensor, **flips}

    def _linear(self, linear: LinearGrowth) -> dict[str, Any]:
        content, parting = linear.as_json(), linear.parting()
        if parting is not None:
            content["parting"]["flips_by_module"] = self.history.flips_at(parting.step)
        return content


def run_twins(
    recipe: Recipe,
    task: Task,
    *,
    noise: Noise,
    baseline: Noise,
    seed: int,
    steps: int,
    jump: float = 10.0,
    linearised: bool = False,
    on_step: Callable[[int], None] = lambda step: None,
) -> TwinRun:
    """Train two networks of a recipe on the same batches, and compare them after each step.

    Each twin takes exactly the steps of a study's run. The training ends at the first loss that is not finite.

    Args:
        recipe: what is trained; its `epochs` does not matter.
        task: its data.
        noise: of the second twin.
        baseline: of the first twin, with which the second is compared.
        seed: decides batch order, augmentation and dropout.
        steps: updates of each twin.
        jump: least factor of a jump.
        linearised: predict the distance by linearised training too; a step then takes about twenty times as long.
        on_step: called with the number of updates after each step.

    Raises:
        LastbitError: the training cannot be linearised.
    """
    pair = [recipe_stepper(recipe, task, own, dropout_seed=seed) for own in (baseline, noise)]
    twins = Twins(pair[0].model, pair[1].model)
    linear = _linearised(pair) if linearised else None
    for batch in islice(task.batches(seed), steps):
        with twins.step(), nullcontext() if linear is None else linear.step(*batch):
            losses = [stepper.take(batch) for stepper in pair]
        on_step(pair[0].step)
        if not all(loss.isfinite() for loss in losses):
            break
    history = twins.history()
    first, second = (evaluate_trained(stepper, task) for stepper in pair)
    return TwinRun(
        noise=noise.label,
        baseline=baseline.label,
        history=history,
        growth=history.growth(jump=jump),
        accuracies=(first.accuracy, second.accuracy),
        churn=100 * churn(first.predictions, second.predictions),
        logits=logit_distance(second.logits, first.logits),
        linear=None if linear is None else linear.growth(),
    )


def _linearised(pair: Sequence[Stepper]) -> Linearised:
    """Linearised training of two steppers of a recipe, with what its remedies do before and around a step."""
    # A cap on the learning rate is around the optimizer, and acts by the rate that the one inside then steps with.
    inner = [getattr(stepper.optimizer, "inner", stepper.optimizer) for stepper in pair]
    hooks = list(inner[0]._optimizer_step_pre_hooks.values())

    def prepare(weights: list[Tensor]) -> None:
        """Do what the hooks of the optimizer do to gradients, such as clipping."""
        for hook in hooks:
            hook(SimpleNamespace(param_groups=[{"params": weights}]), (), {})

    one, other = pair
    return Linearised(one.model, other.model, one.loss, *inner, prepare=prepare if hooks else None)


def _distance(run: TwinRun) -> str:
    history, steps = run.history, len(run.history.steps)
    positive = [value for value in history.relative_l2 if value > 0]
    if not positive:
        return f"bit-identical after all {steps:,} steps."
    if run.growth.diverged_at is not None:
        return f"the training diverged at step {run.growth.diverged_at:,}."
    first, last = (scientific(value) for value in (positive[0], positive[-1]))
    return f"in {steps:,} steps the weights' relative distance grew from {first} to {last}."


def _jumps(run: TwinRun) -> str:
    jumps, history = run.growth.jumps, run.history
    if not jumps:
        kinks = "" if history.activations else " and no activation has a kink"
        return f"No step makes it leap{kinks}."
    largest = max(jumps, key=lambda jump: jump.factor)
    origin = history.origin(largest)
    others = f" ({len(jumps) - 1} more jumps)" if len(jumps) > 1 else ""
    sentence = (
        f"It leaps {largest.factor:.0f}-fold at step {largest.step:,}, most in {origin.tensor}, where "
        f"{sum(origin.flips.values()):,} of {history.activations:,} activations lie on different sides of their "
        f"kink{others}."
    )
    before = dict(zip(history.steps, history.relative_l2, strict=True)).get(largest.before, 0.0)
    if stays_apart(before, history.relative_l2[-1]):
        return sentence
    return f"{sentence} It comes back: the distance at the end is less than ten times that before the leap."


def _prediction(run: TwinRun) -> str:
    """Where linearised training explains the distance, in a sentence that ends with a space; empty without it."""
    if run.linear is None or not any(run.linear.measured):
        return ""
    parting = run.linear.parting()
    if parting is None:
        return (
            f"Linearised training predicts the distance throughout, to {scientific(max(run.linear.gaps))} of it: all "
            "of it is rounding and what the steps make of that. The first difference alone becomes "
            f"{run.linear.amplification:.2g} times as large. "
        )
    flips = sum(run.history.flips_at(parting.step).values())
    cause = f"where {flips:,} activation{'s flip' if flips > 1 else ' flips'}" if flips else "where no activation flips"
    return (
        f"Linearised training predicts the distance until step {parting.step - 1:,}; then they part, {cause}, most in "
        f"{parting.tensor}. "
    )
