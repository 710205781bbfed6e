"""Trainings of constant learning rates over equal learning rate × steps, for figures 3 (right) and 10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lastbit.execution.numerics import repeatable_numerics
from lastbit.noise import Scale as Noise
from lastbit.paper.item import Settings, rounded
from lastbit.training.catalogue import load_recipe
from lastbit.training.task import prepare
from lastbit.training.twins import run_twins

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


def steps_of(sweep: Settings, lr: float) -> int:
    """Updates at a learning rate, so that their product is that of the sweep."""
    return round(float(sweep["lr_steps"]) / lr)


def sweep_twins(*, recipe: str, changes: Sequence[str], lr: float, steps: int, points: int) -> dict[str, Any]:
    """Train twins at a constant learning rate and give RelL1 at so many even places of the way, as plain JSON."""
    chosen = load_recipe(recipe, changes=(*changes, f"optimizer.lr={lr!r}"))
    baseline, noise = map(Noise, _KS)
    with repeatable_numerics():
        history = run_twins(chosen, prepare(chosen), noise=noise, baseline=baseline, seed=_SEED, steps=steps).history
    taken = len(history.steps)
    kept = sorted({round((place + 1) * taken / points) - 1 for place in range(points)} - {-1})
    return {
        "lr": lr,
        "step": [history.steps[i] for i in kept],
        "rel_l1": rounded([history.rel_l1[i] for i in kept], _DIGITS),
        "diverged": taken < steps,
    }
