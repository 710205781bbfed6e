"""Gradient descent on a kernel, with twins that differ in the last bit (paper, sections 5.3-5.4, figures 4-5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lastbit.errors import LastbitError
from lastbit.pde.bounds import check_lr, check_weight_decay
from lastbit.pde.classification import REGIMES, Path, classify
from lastbit.pde.grid import check_k, perturbed_update, relative_l1
from lastbit.pde.linearisation import Evaluation, Model
from lastbit.pde.momentum import Momentum
from lastbit.pde.spectrum import Spectrum

Array = NDArray[np.floating]
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, eq=False)
class Simulation:
    """The record of a run: T states, each taken before an update, all finite."""

    regime: str  # "stable", "restrained" or "blow-up", by the rules of `classify`
    blow_up_step: int | None  # number of updates after which loss or norm was not finite; None if both stayed finite
    loss: Array  # (T,), weight decay included
    norm: Array  # (T,): |K|
    step_length: Array  # (T,): length of the update from each state
    alignment: Array  # (T,): cosine between that update and the one before; 0 where there is none
    shares: Array  # (T, 3): shares of positions activated, transitioning, not activated
    ks: tuple[int, ...]  # the perturbation of each twin; the first is the run itself
    rel_l1: Array  # (len(ks), T): RelL1 between each twin's kernel and the first's; NaN once a twin has overflowed
    amplification_steps: Array  # (m,): the states at which the local amplification was measured
    amplification: Array  # (m,): spectral radius of the local linear update at those states
    sharpness: Array  # (m,): largest eigenvalue of the loss's Hessian at those states, weight decay included
    kernel: Array  # (W, W): the kernel after the last update

    @property
    def crossings(self) -> int:
        """How often the measured local amplification passed from one side of 1 to the other."""
        return int(np.count_nonzero(np.diff(self.amplification > 1.0)))


def simulate(
    model: Model,
    kernel: ArrayLike,
    *,
    lr: float,
    weight_decay: float = 0.0,
    steps: int = 1000,
    momentum: float = 0.0,
    nesterov: bool = False,
    ks: Sequence[int] = (1,),
    dtype: DTypeLike | None = None,
    amplification_every: int = 0,
    amplification_from: int = 0,
) -> Simulation:
    """Run gradient descent from a kernel, record it, and classify it.

    The update is K <- K - (lr k)(d / k), d the gradient (coupled weight decay included) or momentum's direction. The
    run is the first of ``ks``. The others are twins from the same kernel, computed one after another by the same
    operations, so that equal k give equal bits. The run stops when its loss or norm overflows.

    Args:
        model: a `OneLayerCNN`, or one of its linearisations for the linear PDE.
        kernel: the initial kernel, (W, W); converted to the model's precision.
        lr: the learning rate.
        weight_decay: alpha.
        steps: number of updates; telling the regimes apart takes a few hundred.
        momentum: mu, see `Momentum`.
        nesterov: whether the momentum is Nesterov's.
        ks: the perturbations of the run and its twins.
        dtype: "float32" or "float64"; by default the model's precision.
        amplification_every: interval in steps between measurements of the local amplification and the sharpness; 0 for
            none. The extreme eigenvalues of the Hessian give the spectral radius of the linear update, momentum
            included, at the current kernel. A measurement costs as much as some fifty steps.
        amplification_from: the first step that is measured.

    Raises:
        LastbitError: an argument is out of range.
    """
    scheme = Momentum(momentum, nesterov)
    check_lr(lr)
    check_weight_decay(weight_decay)
    check_steps(steps)
    _check_measurements(amplification_every, amplification_from)
    model = in_precision(model, dtype)
    start = check_start(model, kernel)
    twins = [_Twin(model, scheme, lr, weight_decay, k, start) for k in _checked(ks)]
    record = _Record(model, scheme, lr, weight_decay, amplification_every, amplification_from)
    with np.errstate(over="ignore", invalid="ignore"):
        return record.follow(twins, steps)


def _checked(ks: Sequence[int]) -> list[int]:
    if not ks:
        raise LastbitError("a simulation needs at least one k")
    return [check_k(k) for k in ks]


def _check_measurements(every: int, first: int) -> None:
    if every < 0:
        raise LastbitError(f"the amplification is measured every 1 or more steps, or 0 for never, not {every}")
    if first < 0:
        raise LastbitError(f"the amplification is measured from step 0 or later, not {first}")


def in_precision(model: M, dtype: DTypeLike | None) -> M:
    """Return the model in "float32" or "float64", unchanged for None; raise LastbitError for anything else."""
    try:
        wanted = model.dtype if dtype is None else np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in (np.float32, np.float64):
        raise LastbitError(f"the precision must be float32 or float64, not {dtype}")
    return model.astype(wanted)


def check_steps(steps: int) -> int:
    """Return ``steps``; raise LastbitError unless it is at least 1."""
    if steps < 1:
        raise LastbitError(f"a simulation needs at least 1 step, not {steps}")
    return steps


def check_start(model: Model, kernel: ArrayLike) -> Array:
    """Return the initial kernel in the model's precision; raise LastbitError unless it is finite and W x W."""
    with np.errstate(over="ignore"):
        start: Array = np.array(kernel, model.dtype)
    if start.shape != (model.kernel, model.kernel):
        raise LastbitError(f"the initial kernel must be {model.kernel} x {model.kernel}, not of shape {start.shape}")
    if not np.isfinite(start).all():
        raise LastbitError(f"the initial kernel must be finite in {model.dtype}")
    return start


@dataclass
class _Twin:
    """One run in progress."""

    model: Model
    scheme: Momentum
    lr: float
    weight_decay: float
    k: int
    kernel: Array
    buffer: Array | None = None

    def evaluate(self) -> Evaluation:
        """Return loss and gradient at the twin's kernel."""
        return self.model.evaluate(self.kernel, self.weight_decay)

    def advance(self, gradient: Array) -> None:
        """Update the kernel by K ← K − (lr·k)·(d/k), d from the gradient by the scheme."""
        direction, self.buffer = self.scheme.advance(gradient, self.buffer)
        self.kernel = perturbed_update(self.kernel, -direction, self.lr, self.k)


@dataclass
class _Record:
    """The growing histories of a run."""

    model: Model
    scheme: Momentum
    lr: float
    weight_decay: float
    amplification_every: int
    amplification_from: int
    loss: list[float] = field(default_factory=list)
    norm: list[float] = field(default_factory=list)
    step_length: list[float] = field(default_factory=list)
    alignment: list[float] = field(default_factory=list)
    shares: list[Array] = field(default_factory=list)
    rel_l1: list[list[float]] = field(default_factory=list)
    amplification: dict[int, float] = field(default_factory=dict)
    sharpness: list[float] = field(default_factory=list)
    spectrum: Spectrum | None = None

    def follow(self, twins: list[_Twin], steps: int) -> Simulation:
        """Train the twins for `steps` updates, or until a value is not finite, and return the record."""
        run, heading = twins[0], None
        blow_up_step = None
        for step in range(steps + 1):
            now, norm = run.evaluate(), float(np.linalg.norm(run.kernel))
            if not (np.isfinite(now.loss) and np.isfinite(norm)):
                blow_up_step = step
                break
            if step == steps:
                break
            self._note_state(now, norm, twins, step)
            before = run.kernel
            run.advance(now.gradient)
            for twin in twins[1:]:
                twin.advance(twin.evaluate().gradient)
            heading = self._note_update(run.kernel - before, heading)
        return self._result(twins, blow_up_step)

    def _note_state(self, now: Evaluation, norm: float, twins: list[_Twin], step: int) -> None:
        self.loss.append(float(now.loss))
        self.norm.append(norm)
        self.shares.append(self.model.shares(now.response))
        self.rel_l1.append([0.0, *(relative_l1(twins[0].kernel, twin.kernel) for twin in twins[1:])])
        since = step - self.amplification_from
        if self.amplification_every and since >= 0 and since % self.amplification_every == 0:
            self.spectrum = self.model.hessian_extremes(twins[0].kernel, self.weight_decay, self.spectrum)
            ends = np.array([self.spectrum.lowest.value, self.spectrum.highest.value])
            self.amplification[step] = float(self.scheme.amplification(self.lr * ends).max())
            self.sharpness.append(self.spectrum.highest.value)

    def _note_update(self, update: Array, heading: Array | None) -> Array:
        length = float(np.linalg.norm(update))
        new_heading = update / length if length > 0.0 else np.zeros_like(update)
        self.step_length.append(length)
        self.alignment.append(0.0 if heading is None else float(np.vdot(new_heading, heading)))
        return new_heading

    def _result(self, twins: list[_Twin], blow_up_step: int | None) -> Simulation:
        path = Path(np.array(self.norm), np.array(self.step_length), np.array(self.alignment))
        code = classify(path, self.model.dtype, saturating=self.model.saturating, blown_up=blow_up_step is not None)
        return Simulation(
            regime=REGIMES[int(code)],
            blow_up_step=blow_up_step,
            loss=np.array(self.loss),
            norm=path.norm,
            step_length=path.step_length,
            alignment=path.alignment,
            shares=np.array(self.shares).reshape(-1, 3),
            ks=tuple(twin.k for twin in twins),
            rel_l1=np.array(self.rel_l1).reshape(-1, len(twins)).T,
            amplification_steps=np.array(list(self.amplification), dtype=np.int64),
            amplification=np.array(list(self.amplification.values())),
            sharpness=np.array(self.sharpness),
            kernel=twins[0].kernel,
        )
