"""Products of vectors with the Hessian or the Gauss-Newton matrix of a training loss."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from lastbit.curvature.loss.batches import Piece
from lastbit.curvature.loss.objective import Objective
from lastbit.curvature.loss.parameters import flatten, refuse_nan
from lastbit.curvature.loss.point import Loss, LossPoint
from lastbit.curvature.loss.reduction import Denominator
from lastbit.errors import LastbitError

Product = Callable[[Tensor], Tensor]
T = TypeVar("T")


class CurvatureOperator(ABC):
    """A symmetric curvature matrix C of a mean loss, given by its products, at the weights of its construction.

    The matrix is P^(-1/2) (C + W) P^(-1/2): W the weight decay's diagonal and P a diagonal preconditioner, both absent
    unless asked for. It has the eigenvalues of P^(-1) (C + W).

    The operator is a snapshot: it holds copies of the weights and buffers, so training may go on without changing it.
    Constructing and multiplying leave the model's modes, buffers, `.grad` and torch's random states as they were. Data
    of one batch keep their gradient graph, and a product then costs one backward pass; several batches (or a batch cut
    by `micro_batch`) are evaluated anew for each product, weighted as the loss itself does: by samples, by
    targets that are not ignored, by class weights, or added up (see `lastbit.curvature.loss.reduction`).

    Args:
        model: the network, in the modes it is to be measured in.
        loss: `loss(model(inputs), targets)`, one number. The parameters of a loss module count too.
        data: one (inputs, targets) batch, or an iterable of them that can be read again and again.
        parameters: glob patterns of names; only parameters that require a gradient count. Those of a loss module begin
            with `loss.`.
        weight_decay: coefficient of coupled (L2) weight decay, for all parameters or by parameter.
        preconditioner: P's positive diagonal, by parameter; see `preconditioner(optimizer)`.
        micro_batch: samples whose training step fills the memory that a product may take; forward passes take two
            fifths of it. None evaluates each batch in one pass.
        dtype: floating-point type to evaluate the model in (float64 for a reference); None for its own.
        denominator: what the loss divides its sum by, a callable of inputs and targets; None to infer it.

    Raises:
        LastbitTypeError: an argument is of the wrong kind.
        LastbitError: the weights hold NaN, the loss is random or does not depend on them, the data are empty, the
            derivatives are not those of the loss, or the data come in pieces of which the loss is no sum or mean.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        *,
        parameters: str | Sequence[str] = "*",
        weight_decay: float | Mapping[nn.Parameter, float] = 0.0,
        preconditioner: Mapping[nn.Parameter, Tensor] | None = None,
        micro_batch: int | None = None,
        dtype: torch.dtype | None = None,
        denominator: Denominator | None = None,
    ) -> None:
        objective = Objective(
            model,
            loss,
            data,
            parameters=parameters,
            micro_batch=micro_batch,
            dtype=dtype,
            denominator=denominator,
        )
        refuse_nan(objective.parameters)
        objective.check()
        self._settle(objective.point(), weight_decay, preconditioner)

    @classmethod
    def at(
        cls,
        point: LossPoint,
        *,
        weight_decay: float | Mapping[nn.Parameter, float] = 0.0,
        preconditioner: Mapping[nn.Parameter, Tensor] | None = None,
    ) -> Self:
        """The operator at a point of an objective that has been checked already."""
        operator = cls.__new__(cls)
        operator._settle(point, weight_decay, preconditioner)
        return operator

    def _settle(
        self,
        point: LossPoint,
        weight_decay: float | Mapping[nn.Parameter, float],
        preconditioner: Mapping[nn.Parameter, Tensor] | None,
    ) -> None:
        self._point = point
        self._decay = _decay(weight_decay, point)
        self._half = None if preconditioner is None else _inverse_root(preconditioner, point)
        piece = point.batches.single()
        self._kept = None if piece is None else self._quietly(lambda: self._product_at(piece))

    @property
    def size(self) -> int:
        """Number of rows: the entries of the chosen parameters."""
        return self._point.size

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.size, self.size

    @property
    def dtype(self) -> torch.dtype:
        """Type of flat vectors."""
        return self._point.dtype

    @property
    def device(self) -> torch.device:
        """Device of flat vectors."""
        return self._point.weights[0].device

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the chosen parameters, in the order of the flat vector."""
        return tuple(self._point.parameters)

    def __matmul__(self, vectors: Tensor) -> Tensor:
        """Product with one flat vector of shape (size,), or with the columns of a matrix (size, count).

        Raises:
            LastbitError: the shape is another.
        """
        if vectors.dim() not in (1, 2) or vectors.shape[0] != self.size:
            raise LastbitError(
                f"the operand has shape {tuple(vectors.shape)}; give ({self.size},) or ({self.size}, count)"
            )
        columns = vectors.reshape(self.size, -1).T.to(self.device, self.dtype)
        return self._products(columns).T.reshape(vectors.shape)

    def matvec(self, vector: Tensor) -> Tensor:
        """Product with one flat vector, shape (size,)."""
        return self @ vector.reshape(-1)

    def as_linear_operator(self) -> LinearOperator:
        """The same matrix for scipy; each column is one product."""

        def product(vectors: NDArray[Any]) -> NDArray[Any]:
            """Return the product with a vector (n,) or the columns of (n, m)."""
            return (self @ torch.as_tensor(np.ascontiguousarray(vectors))).cpu().numpy()

        dtype = torch.empty(0, dtype=self.dtype, device="cpu").numpy().dtype
        return LinearOperator(self.shape, dtype=dtype, matvec=product, rmatvec=product, matmat=product, rmatmat=product)

    def _products(self, rows: Tensor) -> Tensor:
        """Products with the rows of a matrix (count, size): all rows at one piece of the data before the next."""
        scaled = rows if self._half is None else rows * self._half
        if self._kept is not None:
            kept = self._kept
            curved = self._quietly(lambda: _each(kept, scaled))
        else:
            curved = self._point.mean(lambda piece: _each(self._product_at(piece), scaled))
        curved = curved + self._decay * scaled
        return curved if self._half is None else curved * self._half

    def _quietly(self, work: Callable[[], T]) -> T:
        """Do work at the operator's point, and put back every state that it moves."""
        with self._point.evaluating():
            return work()

    @abstractmethod
    def _product_at(self, piece: Piece) -> Product:
        """Product with the curvature of one piece's mean loss, from flat vector to flat vector; keeps its graph."""


def _each(product: Product, rows: Tensor) -> Tensor:
    """A product for each row, one by one, so that memory stays that of a single product."""
    return torch.stack([product(row) for row in rows])


def _decay(weight_decay: float | Mapping[nn.Parameter, float], point: LossPoint) -> float | Tensor:
    """The weight decay's diagonal: one number, or a flat vector where it differs by parameter."""
    if not isinstance(weight_decay, Mapping):
        if not math.isfinite(weight_decay):
            raise LastbitError(f"weight_decay={weight_decay} is not allowed; give a finite number")
        return weight_decay
    pairs = zip(point.parameters.values(), point.weights, strict=True)
    parts = [torch.full_like(weight, weight_decay.get(parameter, 0.0)) for parameter, weight in pairs]
    return flatten(parts, point.dtype)


def _inverse_root(preconditioner: Mapping[nn.Parameter, Tensor], point: LossPoint) -> Tensor:
    """P^(-1/2), flat."""
    for name, parameter in point.parameters.items():
        if parameter not in preconditioner:
            raise LastbitError(f"the preconditioner lacks parameter {name}; give one entry for every chosen parameter")
        if not bool(((preconditioner[parameter] > 0) & preconditioner[parameter].isfinite()).all()):
            raise LastbitError(f"the preconditioner of {name} has entries that are not positive and finite")
    diagonal: Tensor = flatten([preconditioner[parameter] for parameter in point.parameters.values()], point.dtype)
    return diagonal.rsqrt().to(point.weights[0].device)
