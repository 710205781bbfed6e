"""The bit fingerprint of a training: a hash of the bits that its first steps give in this process.

Equal versions and processors do not promise equal bits, and different ones need not change them. So each process that
is to run trials first runs the beginning of the control trial and hashes what comes out. Workers of one bit fingerprint
may share a seed of a study; between others, the change of numerics would count as noise.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from lastbit.execution.jobs import BitFingerprint
from lastbit.execution.numerics import repeatable_numerics
from lastbit.storage.files import to_json
from lastbit.study.recorder import Recorder
from lastbit.study.trial import Trial
from lastbit.tensors import bits

SEED = 1  # of every fingerprint, so that studies of other seeds can be compared
EVENTS = 8  # updates, snapshots and logged rows that are hashed: four steps of a built-in recipe


def first_steps_fingerprint(train: Callable[[Recorder], None], control: Trial) -> BitFingerprint:
    """Hash the first updates, snapshots and logged numbers of a training, and end it there.

    They run twice, the first time that a process is asked: a training that does not repeat itself has no fingerprint,
    and the study's controls will say so. No generator of torch is moved.

    Args:
        train: as a study calls it; once it is known what comes first, it is left by an exception that is no
            `Exception`.
        control: with the noise that changes nothing.
    """
    return _cached(_Beginning(control.id, train, control))


@dataclass(frozen=True)
class _Beginning:
    id: str
    train: Callable[[Recorder], None] = field(compare=False)
    control: Trial = field(compare=False)


@lru_cache(maxsize=16)
def _cached(beginning: _Beginning) -> BitFingerprint:
    once, again = (_hash(beginning.train, beginning.control) for _ in range(2))
    return once if once == again else None


def _hash(train: Callable[[Recorder], None], control: Trial) -> str:
    with TemporaryDirectory(prefix="lastbit-first-steps-") as directory, torch.random.fork_rng(), repeatable_numerics():
        witness = _Witness(control, Path(directory))
        with _hearing_updates(witness):
            try:
                train(witness)
            except _EnoughError:
                pass
            except Exception as error:  # the trial itself will report it
                witness.numbers.update(type(error).__name__.encode())
    return witness.hash


class _EnoughError(BaseException):
    """Leaves a training; no `Exception`, which the training might catch."""


class _Witness(Recorder):
    """Hashes what a recorder is given, and ends the training after a few events."""

    def __init__(self, trial: Trial, directory: Path) -> None:
        super().__init__(trial, directory)
        self.tensors, self.numbers = hashlib.sha256(), hashlib.sha256()
        self._events, self._saw_tensors = 0, False

    @property
    def hash(self) -> str:
        """Of the tensors; of the logged numbers, among which there may be times, only where there were none."""
        return (self.tensors if self._saw_tensors else self.numbers).hexdigest()[:16]

    def log(self, step: int | None = None, **metrics: float) -> None:
        """Hash numbers."""
        super().log(step, **metrics)
        self.numbers.update(to_json({"step": self.step, **{name: float(metrics[name]) for name in metrics}}).encode())
        self._happened()

    def snapshot(self, step: int, weights: Mapping[str, Tensor] | nn.Module) -> None:
        """Hash weights."""
        self.see((dict(weights.named_parameters()) if isinstance(weights, nn.Module) else weights).values())

    def log_predictions(self, labels: Tensor, targets: Tensor | None = None) -> None:
        """Hash predictions."""
        self.see([labels])

    def save_checkpoint(self, step: int, state: Any) -> None:
        """Keep none."""

    def see(self, tensors: Iterable[Tensor]) -> None:
        """Hash tensors."""
        for tensor in tensors:
            self.tensors.update(bits(tensor))
        self._saw_tensors = True
        self._happened()

    def _happened(self) -> None:
        self._events += 1
        if self._events >= EVENTS:
            raise _EnoughError


@contextmanager
def _hearing_updates(witness: _Witness) -> Iterator[None]:
    """Let a witness see the weights after each update of any optimizer of this thread."""
    thread = threading.get_ident()

    def updated(optimizer: Optimizer, args: object, kwargs: object) -> None:
        """Show the witness the weights after this thread's update."""
        if threading.get_ident() == thread:
            witness.see(weight for group in optimizer.param_groups for weight in group["params"])

    handle = register_optimizer_step_post_hook(updated)
    try:
        yield
    finally:
        handle.remove()
