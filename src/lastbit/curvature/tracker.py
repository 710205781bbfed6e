"""Sharpness along training: each measurement starts from the last ones' eigenvectors."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.curvature.loss.objective import Objective
from lastbit.curvature.loss.parameters import Choice, stepped_by, without_fixed_loss
from lastbit.curvature.loss.reduction import Denominator
from lastbit.curvature.operator import HessianOperator
from lastbit.curvature.search import PROBE_GAP, PROBE_MISS, FoundPairs, WarmSearch
from lastbit.curvature.sharpness import SharpnessRow, diverged_row
from lastbit.curvature.subspace import Counted, miss_probability, steps_needed
from lastbit.curvature.untouched.undisturbed import undisturbed
from lastbit.errors import LastbitError
from lastbit.optimizers.edge import coupled_weight_decay, edges_of, preconditioner
from lastbit.samples import Loss

MOVED = 0.1  # of the weights' norm since the last probe, after which a new probe is due


class SharpnessTracker:
    """The k algebraically largest λ of H v = λ v, H the Hessian of a training loss, measured along the training.

    A warm measurement starts from the eigenvectors of the last one, or of the last but one where those were nearer
    last time (gradient descent past its edge alternates between two places), widens the space by corrections of first
    order in all recycled eigenvectors, and stops when every value's upper bound is within `tol` times the largest
    value of it (see `SharpnessRow` and `lastbit.curvature.eigenpairs`). The first measurement starts from a random
    direction.

    A residual certifies that *some* eigenvalue is near. That it is the largest is checked by a random Lanczos run (see
    `lastbit.curvature.subspace`) at the first measurement, then every `probe_every` measurements, and whenever the warm
    start is suspect: its residual is above half its value, or the weights have moved by a tenth of their norm since
    the last run. Each run misses an eigenvalue that lies a tenth of the spectrum's width above the reported one with
    probability 0.01 at most. Between two runs an eigenvalue that rises in a direction orthogonal to everything tracked
    can go unseen; pairs next to the k-th are looked at again before they can have drifted past it by 2 % a measurement.

    Args:
        model: the network, in the modes it is to be measured in.
        loss: `loss(model(inputs), targets)`, one number. The parameters of a loss module count too, where an optimizer
            is given those that it steps.
        data: one (inputs, targets) batch, or an iterable of them that can be read again and again.
        k: eigenvalues wanted.
        tol: largest error: distance from a value to its upper bound, relative to the largest value.
        optimizer: measure the curvature that `edge_of_stability(optimizer)` bounds: its coupled weight decay is
            included, and an adaptive optimizer's current preconditioner is applied.
        weight_decay: coefficient of coupled weight decay, where no optimizer is given.
        parameters: glob patterns of names, or the parameters themselves by name; only those that require a gradient
            count.
        micro_batch: samples whose training step fills the memory that a product may take.
        denominator: what the loss divides its sum by, a callable of inputs and targets; None to infer it.
        max_matvecs: most products of a measurement before it returns unconverged, probes aside.
        probe_every: measurements from one random run to the next; 1 probes always, 0 only where a start is suspect.
        seed: of the random directions, drawn from a generator of the tracker's own.

    Raises:
        LastbitTypeError: an argument is of the wrong kind.
        LastbitError: k or another option is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        k: int = 1,
        tol: float = 1e-3,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        weight_decay: float = 0.0,
        parameters: Choice = "*",
        micro_batch: int | None = None,
        denominator: Denominator | None = None,
        max_matvecs: int = 200,
        probe_every: int = 50,
        seed: int = 0,
    ) -> None:
        stepped = frozenset[nn.Parameter]()
        if optimizer is not None:
            parameters, stepped = without_fixed_loss(model, loss, optimizer, parameters), stepped_by(optimizer)
        self.objective = Objective(
            model, loss, data, parameters=parameters, micro_batch=micro_batch, denominator=denominator, stepped=stepped
        )
        self.size = sum(parameter.numel() for parameter in self.objective.parameters.values())
        _refuse(k, tol, max_matvecs, probe_every, self.size)
        if optimizer is not None and weight_decay:
            raise LastbitError(
                f"weight_decay={weight_decay} beside an optimizer, which brings its own; give one of the two"
            )
        self.k, self.tol, self.max_matvecs, self.probe_every = k, tol, max_matvecs, probe_every
        self._optimizer, self._weight_decay = optimizer, weight_decay
        self._search = WarmSearch(k, self._reachable_tol(), max_matvecs, torch.Generator().manual_seed(seed))
        self._vectors: Tensor | None = None
        self._probe = _LastProbe(self.size)

    @property
    def vectors(self) -> Tensor:
        """Unit eigenvectors of the last measurement, shape (k, size); of P^(-1/2) H P^(-1/2) under a preconditioner P.

        Raises:
            LastbitError: nothing has been measured, or the last measurement diverged.
        """
        if self._vectors is None:
            raise LastbitError("there are no eigenvectors: nothing has been measured, or the last measurement diverged")
        return self._vectors

    def measure(self) -> SharpnessRow:
        """The k largest eigenvalues at the model's present weights, with the optimizer's edges where there is one.

        Weights or curvature that are not finite give a row that is `diverged`; the next measurement starts afresh.

        Raises:
            LastbitError: at the first measurement, what `HessianOperator` raises.
        """
        with undisturbed(self.objective.model, self.objective.loss):  # once for all products
            return self._measured(time.perf_counter())

    def _measured(self, started: float) -> SharpnessRow:
        weights = [parameter.detach() for parameter in self.objective.parameters.values()]
        if not all(bool(weight.isfinite().all()) for weight in weights):
            return self._lost(0, started)
        operator = Counted(self._operator())
        due = self._probe.due(weights, self.probe_every)
        search = self._search.largest(operator, probe=due)
        if not bool(search.pairs.ritz.residual_norms().isfinite().all()):
            return self._lost(operator.products, started)
        self._vectors = search.pairs.ritz.vectors
        self._probe = self._probe.after(weights, search.probed)
        return self._result(search, operator.products, time.perf_counter() - started)

    def _operator(self) -> HessianOperator:
        """The matrix to measure now; the objective is checked the first time."""
        if not self.objective.checked:
            self.objective.check()
        point = self.objective.point()
        if self._optimizer is None:
            return HessianOperator.at(point, weight_decay=self._weight_decay)
        return HessianOperator.at(
            point,
            weight_decay=coupled_weight_decay(self._optimizer),
            preconditioner=preconditioner(self._optimizer),
        )

    def _reachable_tol(self) -> float:
        """The tolerance, but no less than rounding in the parameters' type allows."""
        eps = max(torch.finfo(parameter.dtype).eps for parameter in self.objective.parameters.values())
        return max(self.tol, 4 * eps)

    def _edges(self) -> tuple[float, ...]:
        parameters = self.objective.parameters.values()
        return () if self._optimizer is None else tuple(edge.value for edge in edges_of(self._optimizer, parameters))

    def _lost(self, matvecs: int, started: float) -> SharpnessRow:
        self._search.forget()
        self._vectors, self._probe = None, _LastProbe(self.size)
        seconds = time.perf_counter() - started
        return diverged_row(self.k, edges=self._edges(), matvecs=matvecs, seconds=seconds)

    def _result(self, search: FoundPairs, matvecs: int, seconds: float) -> SharpnessRow:
        ritz = search.pairs.ritz
        # A probe of several runs is no better than the last of them.
        last_run = min(self._probe.products, steps_needed(self.size, PROBE_GAP, PROBE_MISS))
        return SharpnessRow(
            values=tuple(ritz.values.tolist()),
            residuals=tuple(ritz.residual_norms().tolist()),
            uppers=tuple(search.pairs.uppers.tolist()),
            edges=self._edges(),
            converged=bool(search.pairs.slack.max() <= self.tol * ritz.values.abs().max()),
            matvecs=matvecs,
            probed=search.probed,
            probe_age=self._probe.age,
            miss_probability=miss_probability(self.size, last_run, PROBE_GAP),
            seconds=seconds,
        )


@dataclass(frozen=True)
class _LastProbe:
    """Where and when a random start last looked for missed eigenvalues."""

    size: int  # rows of the matrix
    products: int = 0  # of that probe
    age: int = 0  # measurements since
    weights: tuple[Tensor, ...] = ()  # copies of those it was made at

    def due(self, weights: Sequence[Tensor], every: int) -> bool:
        """Whether a measurement at these weights should probe again."""
        return not self.weights or 0 < every <= self.age + 1 or self._moved(weights)

    def after(self, weights: Sequence[Tensor], products: int) -> _LastProbe:
        """The record after a measurement that spent that many products on random starts."""
        if products:
            return _LastProbe(self.size, products, 0, tuple(weight.clone() for weight in weights))
        return replace(self, age=self.age + 1)

    def _moved(self, weights: Sequence[Tensor]) -> bool:
        pairs = list(zip(weights, self.weights, strict=True))
        distance = math.hypot(*(float((now - then).double().norm()) for now, then in pairs))
        return distance > MOVED * math.hypot(*(float(then.double().norm()) for _, then in pairs))


def _refuse(k: int, tol: float, max_matvecs: int, probe_every: int, size: int) -> None:
    """Check the options.

    Raises:
        LastbitError: one is out of range.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= size:
        raise LastbitError(f"k={k} is not allowed; the chosen parameters have {size} entries, so give 1 to {size}")
    if not 0 < tol < 1:
        raise LastbitError(f"tol={tol} is not allowed; give a relative error between 0 and 1, such as 1e-3")
    if max_matvecs < 1:
        raise LastbitError(f"max_matvecs={max_matvecs} is not allowed; give a positive integer")
    if probe_every < 0:
        raise LastbitError(f"probe_every={probe_every} is not allowed; give 1 or more, or 0 for suspect starts only")
