"""The same small training in fresh processes: which of its bits repeat, and which noise changes them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lastbit.differing import differing_fields
from lastbit.execution.numerics import Fingerprint, fingerprint, repeatable_numerics
from lastbit.execution.repeatability import Check, Condition
from lastbit.noise import Noise, Scale
from lastbit.storage.files import to_json
from lastbit.tensors import bits

Train = Callable[[Any], None]  # called with a `Digest`; picklable: it travels to the processes
_SEED = 1


@dataclass(frozen=True)
class Trained:
    """The result of one training."""

    digest: str  # of every metric, weight and prediction, as they were given
    fingerprint: Fingerprint


class Digest:
    """A recorder that keeps only a hash of what it is given."""

    def __init__(self, noise: Noise) -> None:
        self.seed, self.noise = _SEED, noise
        self.seeds: Mapping[str, int] = {}
        self._hash = hashlib.sha256()

    def log(self, step: int, **metrics: float) -> None:
        """Hash metrics."""
        self._hash.update(to_json([step, metrics]).encode())

    def snapshot(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Hash weights."""
        for name, tensor in weights.items():
            self._hash.update(f"{step} {name}".encode())
            self._hash.update(bits(tensor))

    def log_predictions(self, labels: Tensor, targets: Tensor) -> None:
        """Hash predictions; the true labels belong to the data."""
        self._hash.update(bits(labels))

    def mark_diverged(self, step: int) -> None:
        """Hash the step at which the loss stopped being finite."""
        self._hash.update(f"diverged {step}".encode())

    def save_checkpoint(self, step: int, state: object) -> None:
        """Do nothing: checkpoints are not results."""

    def load_checkpoint(self) -> None:
        """Give no checkpoint."""

    def hexdigest(self) -> str:
        """The hash of everything recorded."""
        return self._hash.hexdigest()


def train_once(train: Train, k: int, threads: int, device: str) -> Trained:
    """Train with the numerics of a study's trials, but with another number of threads.

    Args:
        train: the training.
        k: of the noise.
        threads: of torch.
        device: for the fingerprint.
    """
    run = Digest(Scale(k))
    with repeatable_numerics():
        torch.set_num_threads(threads)
        train(run)
        return Trained(run.hexdigest(), fingerprint(device))


Pool = Callable[[int], AbstractContextManager[Executor]]  # given a number of processes, makes as many fresh ones


def check_trainings(
    train: Train, *, device: str, pool: Pool, on_check: Callable[[], None]
) -> tuple[list[Check], Fingerprint | None]:
    """Train five times in two fresh processes, and compare the bits.

    Args:
        train: a short training.
        device: where it runs.
        pool: makes the processes.
        on_check: called after each training.

    Returns:
        The checks, and the fingerprint of the first training; None where it failed.
    """
    with ExitStack() as stack:
        one, other = (stack.enter_context(pool(1)) for _ in range(2))
        jobs = [(one, 1, 1), (other, 1, 1), (one, 2, 1), (other, 3, 1), (one, 1, 2)]
        futures = [process.submit(train_once, train, k, threads, device) for process, k, threads in jobs]
        ended = [_ended(future, on_check) for future in futures]
    failures = [error for error in ended if isinstance(error, str)]
    if failures:
        complaint = f"A training of the demo failed ({failures[0]}), so nothing can be trained here."
        return [Check("training", Condition.FAILS, complaint)], None
    trained = [training for training in ended if isinstance(training, Trained)]
    return list(_checks(trained)), trained[0].fingerprint


def _ended(future: Future[Trained], on_check: Callable[[], None]) -> Trained | str:
    try:
        return future.result()
    except Exception as error:
        # Whatever a training can raise on an unknown machine is what was to be found out.
        return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
    finally:
        on_check()


def _checks(trained: Sequence[Trained]) -> Iterator[Check]:
    first, again, doubled, tripled, two_threads = trained
    yield _repeats(first, again)
    yield _check(
        "k=2",
        first.digest == doubled.digest,
        "Multiplying and dividing each update by 2, which rounds nothing, changes no bit.",
        "Multiplying and dividing each update by 2, which rounds nothing, changed bits: this arithmetic is not IEEE "
        "754's (numbers flushed to zero, a lower precision). See flush_denormal and the precisions in the fingerprint.",
    )
    yield _check(
        "k=3",
        first.digest != tripled.digest,
        "Multiplying and dividing each update by 3 changes bits: last-bit noise arrives in the weights.",
        "Multiplying and dividing each update by 3 changed no bit: no last-bit noise arrives in the weights here, and "
        "a study would find nothing.",
    )
    yield _threads(first.digest == two_threads.digest)


def _repeats(first: Trained, again: Trained) -> Check:
    if first.digest == again.digest:
        return Check("repeat", Condition.OK, "The same training in two fresh processes gives the same bits.")
    differ = ", ".join(differing_fields([first.fingerprint, again.fingerprint]))
    why = f"their fingerprints differ in {differ}" if differ else "their fingerprints agree"
    return Check(
        "repeat",
        Condition.FAILS,
        f"The same training in two fresh processes gave different bits ({why}). Studies would stop at their "
        "controls. `lastbit audit` on a script of yours names the first operation that differs.",
    )


def _threads(same: bool) -> Check:
    if same:
        return Check("threads", Condition.OK, "Two threads give the bits of one, in this training; studies use one.")
    return Check(
        "threads",
        Condition.NOTE,
        "Two threads give other bits than one, since they split a sum elsewhere. So lastbit gives each process one, "
        "and results do not depend on the number of cores; do the same in scripts that are to repeat elsewhere.",
    )


def _check(name: str, holds: bool, good: str, bad: str) -> Check:
    return Check(name, Condition.OK if holds else Condition.FAILS, good if holds else bad)
