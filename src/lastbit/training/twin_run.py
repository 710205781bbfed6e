"""Two trainings of one recipe in lock-step, which differ in nothing but the noise on their updates."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from torch import Tensor

from lastbit.divergence import Growth, History, Jump, LogitDistance, Twins, churn, logit_distance
from lastbit.noise import Noise
from lastbit.training.evaluate import Evaluation, evaluate
from lastbit.training.loop import Training
from lastbit.training.recipe import Recipe
from lastbit.training.task import Task


@dataclass(frozen=True)
class TwinRun:
    """What became of twins: their distance after every step, and their predictions at the end."""

    noise: str  # label of the second twin's noise
    baseline: str  # label of the first twin's noise
    history: History
    growth: Growth  # of the relative L2 distance
    accuracies: tuple[float, float]  # percent of the test set, the baseline's first
    churn: float  # percent of the test set on which the two disagree
    logits: LogitDistance  # on the test set

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        history = self.history
        return {
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

    def _jump(self, jump: Jump) -> dict[str, Any]:
        origin = self.history.origin(jump)
        flips = {"flips": sum(origin.flips.values()), "flips_by_module": origin.flips}
        return {**asdict(jump), "layer": origin.tensor, **flips}


def run_twins(
    recipe: Recipe,
    task: Task,
    *,
    noise: Noise,
    baseline: Noise,
    seed: int,
    steps: int,
    jump: float = 10.0,
    on_step: Callable[[int], None] = lambda step: None,
) -> TwinRun:
    """Train two networks of a recipe on the same batches, step by step, and compare them after each.

    Each twin takes exactly the steps that `Training` takes. Should a loss not be finite, the run ends there.

    Args:
        recipe: what is trained; its `epochs` does not matter.
        task: its data.
        noise: of the second twin.
        baseline: noise of the first twin, with which the other is compared.
        seed: of batch order and augmentation.
        steps: how many to take.
        jump: least factor of a jump.
        on_step: called with the number of each step taken.
    """
    pair = [Training(recipe, task, _Unrecorded(seed, one)) for one in (baseline, noise)]
    twins = Twins(pair[0].model, pair[1].model)
    for images, labels in islice((batch for epoch in task.epochs(seed) for batch in epoch), steps):
        with twins.step():
            losses = [training.update(images, labels) for training in pair]
        on_step(pair[0].step)
        if not all(loss.isfinite() for loss in losses):
            break
        if pair[0].step % task.steps_per_epoch == 0:
            for training in pair:
                training.schedule.step()
    history = twins.history()
    one, other = (evaluate(training.model, task) for training in pair)
    return TwinRun(
        noise=noise.label,
        baseline=baseline.label,
        history=history,
        growth=history.growth(jump=jump),
        accuracies=(one.accuracy, other.accuracy),
        churn=_churn(one, other),
        logits=logit_distance(other.logits, one.logits),
    )


def _churn(one: Evaluation, other: Evaluation) -> float:
    return 100 * churn(one.predictions, other.predictions)


@dataclass(frozen=True)
class _Unrecorded:
    """A run that keeps nothing: twins are compared as they go."""

    seed: int
    noise: Noise

    def log(self, step: int, **metrics: float) -> None:
        """Let it go."""

    def snapshot(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Let it go."""

    def log_predictions(self, labels: Tensor, targets: Tensor) -> None:
        """Let it go."""

    def mark_diverged(self, step: int) -> None:
        """Let it go: distances that are not finite tell it."""

    def save_checkpoint(self, step: int, state: object) -> None:
        """Let it go."""

    def load_checkpoint(self) -> None:
        """There is none."""
