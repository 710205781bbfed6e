"""Full-batch gradient descent with its sharpness and its regime, for figures 7 to 9."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from lastbit.curvature import EDGE, SharpnessTracker
from lastbit.paper.item import Settings, rounded
from lastbit.pde import REGIMES, Path, classify
from lastbit.report.charts import Axis, Curve, cut
from lastbit.training.catalogue import load_recipe
from lastbit.training.descent import Descent, prepare_descent

# Products grow with the logarithm of this, and a curve needs no more.
_TOLERANCE = 1e-2
_DIGITS = 8  # of a loss: float32 has seven


def descent_of(
    recipe: str, changes: Sequence[str], *, device: str, every_image: int = 1
) -> tuple[Descent, tuple[Tensor, Tensor]]:
    """The full-batch descent of a built-in recipe, and its images and labels.

    Args:
        recipe: its name.
        changes: such as `optimizer.lr=0.05`.
        device: where it descends.
        every_image: keep the first of every so many images; the zeros and ones of `mnist01` come one class after the
            other, so that a prefix would hold zeros only.
    """
    prepared = prepare_descent(load_recipe(recipe, changes=tuple(changes)), device=torch.device(device))
    images, labels = (part[::every_image] for part in prepared.batch)
    descent = prepared.descent
    return Descent(descent.model, descent.loss, (images, labels), descent.optimizer), (images, labels)


def convolutional_descent(
    settings: Settings, depth: int, *, seed: int, lr: float, device: str
) -> tuple[Descent, tuple[Tensor, Tensor]]:
    """The descent of Figures 7 and 9: convolutions on zeros and ones of MNIST, and its images and labels.

    Args:
        settings: `every_image`, and `weight_decay` where there is some.
        depth: convolutions.
        seed: of the initial kernels.
        lr: the learning rate.
        device: where it descends.
    """
    optimizer = {"lr": float(lr), "weight_decay": float(settings.get("weight_decay", 0.0))}
    changes = [f"optimizer.{name}={value}" for name, value in optimizer.items()]
    changes += [f"model.depth={depth}", f"init_seed={seed}"]
    return descent_of("conv-mnist01", changes, device=device, every_image=settings["every_image"])


def stable_bracket(runs: Sequence[Mapping[str, Any]], unstable: Sequence[float]) -> tuple[float, float] | None:
    """Return the largest learning rate of runs below all unstable ones, and the smallest unstable one; or None."""
    first = min(unstable, default=0.0)
    stable = [float(run["lr"]) for run in runs if run["lr"] < first]
    return (max(stable), first) if stable else None


def follow(
    descent: Descent, batch: tuple[Tensor, Tensor], *, steps: int, every: int, goal: float = 0.0
) -> dict[str, Any]:
    """Train and record losses, sharpness and regime, as plain JSON.

    The regime is that of `lastbit.pde.classify`, from the lengths and directions of the updates. A deep network's pull
    on its weights is not bounded, but, like a saturating one's, its updates may lengthen along a valley for as long as
    training is under way: only updates that reverse show an instability.

    Args:
        descent: before its first step.
        batch: its images and labels.
        steps: updates at most.
        every: measure the sharpness at every so many steps.
        goal: stop at a loss below this.
    """
    tracker = SharpnessTracker(descent.model, descent.loss, batch, tol=_TOLERANCE, optimizer=descent.optimizer)
    record = _Record()
    for point in descent.points(steps):
        record.note_weights(parameters_to_vector(descent.model.parameters()).detach())
        if point.step % every == 0 and not point.diverged:
            record.note_sharpness(point.step, tracker.measure().normalised)
        if point.loss < goal:
            break
    return record.as_json(descent)


def slow_descent(
    descent: Descent, batch: tuple[Tensor, Tensor], *, share: float, steps: int, every: int, goal: float
) -> dict[str, Any]:
    """Descend at a learning rate that stays a fixed share of the edge, and record the sharpness, as plain JSON.

    The learning rate is share * 2 / sharpness, set anew at each measurement. With a share of a half no direction is
    overshot: the path is near that of the gradient flow, in a number of steps that grows with the sharpness only as
    fast as it must.

    Args:
        descent: before its first step.
        batch: its images and labels.
        share: of the edge, between 0 and 1.
        steps: updates at most.
        every: measure the sharpness at every so many steps.
        goal: stop at a measurement where the loss is below this.

    Returns:
        `step`, `time` (the sum of the learning rates), `loss` and `sharpness` of the measurements; `goal_reached`.
    """
    tracker = SharpnessTracker(descent.model, descent.loss, batch, tol=_TOLERANCE)
    (group,) = descent.optimizer.param_groups
    columns: dict[str, list[float]] = {"step": [], "time": [], "loss": [], "sharpness": []}
    time = 0.0
    for point in descent.points(steps):
        if point.step % every == 0:
            sharpness = tracker.measure().sharpness
            group["lr"] = share * EDGE / sharpness
            for name, value in (("step", point.step), ("time", time), ("loss", point.loss), ("sharpness", sharpness)):
                columns[name].append(value)
            if point.loss < goal:
                break
        time += group["lr"]
    return {**columns, "goal_reached": columns["loss"][-1] < goal}


@dataclass
class _Record:
    """The growing histories of a descent."""

    weights: Tensor | None = None  # the last point's
    update: Tensor | None = None  # the last
    norm: list[float] = field(default_factory=list)  # of the weights at each point
    step_length: list[float] = field(default_factory=list)  # of the update from each point but the last
    alignment: list[float] = field(default_factory=list)
    measured_at: list[int] = field(default_factory=list)
    normalised: list[float] = field(default_factory=list)

    def note_weights(self, weights: Tensor) -> None:
        """Record norm, step length and alignment of the weights after a step, shape (n,)."""
        self.norm.append(float(weights.norm()))
        if self.weights is not None:
            update = weights - self.weights
            self.step_length.append(float(update.norm()))
            self.alignment.append(0.0 if self.update is None else _cosine(update, self.update))
            self.update = update
        self.weights = weights

    def note_sharpness(self, step: int, normalised: float) -> None:
        """Record the normalised sharpness: lr times sharpness, scaled so that 2 is the edge."""
        self.measured_at.append(step)
        self.normalised.append(normalised)

    def as_json(self, descent: Descent) -> dict[str, Any]:
        """Return the records as plain JSON; the loss includes weight decay."""
        (group,) = descent.optimizer.param_groups
        decay = 0.5 * group["weight_decay"]
        losses = [loss + decay * norm**2 for loss, norm in zip(descent.losses, self.norm, strict=True)]
        return {
            "lr": group["lr"],
            "regime": self._regime(descent),
            "blow_up_step": descent.step if descent.diverged else None,
            "loss": rounded(losses, _DIGITS),
            "sharpness": {"step": self.measured_at, "normalised": self.normalised},
        }

    def _regime(self, descent: Descent) -> str:
        path = Path(np.array(self.norm[:-1]), np.array(self.step_length), np.array(self.alignment))
        precision = next(descent.model.parameters()).dtype
        dtype: np.dtype[np.floating] = np.dtype("float64" if precision is torch.float64 else "float32")
        return REGIMES[int(classify(path, dtype, saturating=True, blown_up=descent.diverged))]


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0, eps=0.0).nan_to_num())


def peak(run: Mapping[str, Any]) -> float:
    """The largest normalised sharpness that `follow` measured."""
    return float(max(value for value in run["sharpness"]["normalised"] if value is not None))


def rises(losses: Sequence[float | None], *, by: float = 1e-5) -> list[int]:
    """Return the steps that raised the loss by more than a share of it; 1e-5 is beyond rounding in float32."""
    pairs = itertools.pairwise(losses)
    return [i for i, (a, b) in enumerate(pairs, 1) if a is not None and (b is None or b > a * (1.0 + by))]


NORMALISED = Axis("learning rate × sharpness", name="normalised sharpness")


def layers(depth: int) -> str:
    """A number of layers in words: `1 layer`, `3 layers`."""
    return f"{depth} layer" + ("s" if depth > 1 else "")


def sharpness_curve(label: str, run: Mapping[str, Any]) -> Curve:
    """The normalised sharpness of a run over its steps, as a curve of that label."""
    return cut(label, run["sharpness"]["step"], run["sharpness"]["normalised"])
