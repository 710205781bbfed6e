"""Writes what a trial finds into its directory while it runs."""

import math
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor, nn

from lastbit.files import to_json
from lastbit.noise import Noise
from lastbit.study.trial import Trial

PREDICTIONS = "predictions.safetensors"
METRICS = "metrics.jsonl"


class Recorder:
    """A running trial's seed, noise, and the place for its results: what a training function is given."""

    def __init__(self, trial: Trial, directory: Path) -> None:
        self.seed: int = trial.seed
        self.noise: Noise = trial.noise
        self.diverged_at: int | None = None  # step of the first loss that was not finite
        self.directory = directory
        (directory / "weights").mkdir(parents=True, exist_ok=True)
        (directory / METRICS).touch()

    def log(self, step: int, **metrics: float) -> None:
        """Record numbers that belong to the state after `step` updates; what is not finite is stored as null.

        Raises:
            TypeError: a metric that is not a number.
        """
        row = {name: _number(name, value) for name, value in metrics.items()}
        with (self.directory / METRICS).open("a", encoding="utf-8") as file:
            file.write(to_json({"step": int(step), **row}) + "\n")

    def snapshot(self, step: int, weights: Mapping[str, Tensor] | nn.Module) -> None:
        """Keep the weights after `step` updates, for comparing runs: a network, or name -> tensor."""
        named = dict(weights.named_parameters()) if isinstance(weights, nn.Module) else weights
        self._store(f"weights/{int(step):09d}.safetensors", named)

    def save_predictions(self, labels: Tensor, targets: Tensor | None = None) -> None:
        """Keep the final predictions of the test set.

        Args:
            labels: predicted, shape (examples,).
            targets: the true labels, shape (examples,). With them a comparison counts example by example who is right,
                and knows that two studies share a test set.

        Raises:
            ValueError: the shapes differ.
        """
        if targets is not None and targets.shape != labels.shape:
            raise ValueError(
                f"save_predictions: labels have shape {tuple(labels.shape)} and targets {tuple(targets.shape)}; "
                "each example has one of each"
            )
        self._store(PREDICTIONS, {"labels": labels} if targets is None else {"labels": labels, "targets": targets})

    def mark_diverged(self, step: int) -> None:
        """Say that the loss stopped being finite at `step`; a result, not an error."""
        self.diverged_at = int(step)

    def _store(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        plain = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
        (self.directory / name).write_bytes(save(plain))


def _number(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"log({name}={value!r}): a metric is a number") from None
    # An integral count such as the epoch reads better as 3 than as 3.0.
    return int(number) if isinstance(value, int) and math.isfinite(number) else number
