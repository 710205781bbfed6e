"""The Hessian of a training loss and its Gauss-Newton part, by their products with vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from lastbit.curvature.coordinates import Coordinates
from lastbit.curvature.loss.batches import Piece
from lastbit.curvature.loss.checks import refuse_once_differentiable
from lastbit.curvature.loss.objective import Objective
from lastbit.curvature.loss.parameters import flatten_slopes, refuse_nan, unflatten
from lastbit.curvature.loss.point import LossPoint, grad_of
from lastbit.curvature.loss.reduction import Denominator
from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.samples import Loss

VectorProduct = Callable[[Tensor], Tensor]
T = TypeVar("T")


class CurvatureOperator(ABC):
    """A symmetric curvature matrix C of a mean loss, given by its products, at the weights of its construction.

    The matrix is P^(-1/2) (C + W) P^(-1/2): W the weight decay's diagonal and P a diagonal preconditioner, both absent
    unless asked for. It has the eigenvalues of P^(-1) (C + W).

    The operator is a snapshot: it holds copies of the weights and buffers, so training may go on without changing it.
    Constructing and multiplying leave the model's modes, buffers, `.grad` and torch's random states as they were. Data
    of one batch keep their gradient graph, and a product then costs one backward pass; several batches (or a batch cut
    by `micro_batch`) are evaluated anew for each product and weighted as the loss weights them (see
    `lastbit.curvature.loss.reduction`).

    Args:
        model: the network, in the modes it is to be measured in.
        loss: `loss(model(inputs), targets)`, one number. The parameters of a loss module count too.
        data: one (inputs, targets) batch, or an iterable of them that can be read again and again.
        parameters: glob patterns of names; only parameters that require a gradient count. Those of a loss module begin
            with `loss.`.
        weight_decay: coefficient of coupled (L2) weight decay, for all parameters or by parameter.
        preconditioner: P's positive diagonal, by parameter; see `preconditioner(optimizer)`.
        micro_batch: samples whose training step fills the memory that a product may take; None: no limit.
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
        options: dict[str, Any] = {"micro_batch": micro_batch, "dtype": dtype, "denominator": denominator}
        objective = Objective(model, loss, data, parameters=parameters, **options)
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
        self._point, self._coordinates = point, Coordinates.at(point, weight_decay, preconditioner)
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
            expected = f"({self.size},) or ({self.size}, count)"
            raise LastbitError(f"the operand has shape {tuple(vectors.shape)}; give {expected}")
        rows = vectors.reshape(self.size, -1).T.to(self.device, self.dtype)
        return self._products(rows).T.reshape(vectors.shape)

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
        return self._coordinates.products(rows, self._curved)

    def _curved(self, rows: Tensor) -> Tensor:
        if self._kept is not None:
            kept = self._kept
            return self._quietly(lambda: _by_row(kept, rows))
        return self._point.mean(lambda piece: _by_row(self._product_at(piece), rows))

    def _quietly(self, work: Callable[[], T]) -> T:
        """Do work at the operator's point, and put back every state that it moves."""
        with self._point.evaluating():
            return work()

    @abstractmethod
    def _product_at(self, piece: Piece) -> VectorProduct:
        """Product with the curvature of one piece's mean loss, from flat vector to flat vector; keeps its graph."""


class HessianOperator(CurvatureOperator):
    """The Hessian of a mean loss by Hessian-vector products (Pearlmutter 1994); arguments as for `CurvatureOperator`.

    Example:
        >>> import torch
        >>> model, data = torch.nn.Linear(2, 1, bias=False), (torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 1))
        >>> HessianOperator(model, torch.nn.functional.mse_loss, data) @ torch.tensor([1.0, 1.0])
        tensor([9., 1.])
    """

    def _product_at(self, piece: Piece) -> VectorProduct:
        point = self._point
        slopes = point.slopes(point.piece_loss(piece), create_graph=True)
        refuse_once_differentiable(slopes)
        return lambda vector: point.product(slopes, vector, retain_graph=True)


class GaussNewtonOperator(CurvatureOperator):
    """The Gauss-Newton matrix J^T (d2l/dz2) J of a mean loss l(z), z the model's outputs and J = dz/dw.

    This is the Hessian without the model's own curvature (Schraudolph 2002). It is positive semidefinite where the loss
    is convex in the outputs. Arguments as for `CurvatureOperator`; the model must return one tensor.
    """

    def _product_at(self, piece: Piece) -> VectorProduct:
        point = self._point
        outputs = point.outputs(piece)
        if not isinstance(outputs, Tensor):
            kind = type(outputs).__name__
            raise LastbitTypeError(f"the model returns a {kind}, not one tensor; wrap it in a module that returns one")
        free = outputs.detach().requires_grad_()
        (slope,) = torch.autograd.grad(point.loss_of(free, piece), free, create_graph=True)
        # J^T a is linear in a, so its derivative in a gives J v: two backward passes make the forward one.
        dual = torch.zeros_like(outputs, requires_grad=True)
        pulled = grad_of(outputs, point.weights, [dual], create_graph=True)
        used = [(index, part) for index, part in enumerate(pulled) if part is not None]

        def product(vector: Tensor) -> Tensor:
            """Return Jᵀ (∂²loss/∂output²) J v of v, shape (n,)."""
            parts = unflatten(vector, point.weights)
            cotangents = [parts[index] for index, _ in used]
            (change,) = torch.autograd.grad([part for _, part in used], [dual], cotangents, retain_graph=True)
            if not slope.requires_grad:  # a loss linear in the outputs
                return torch.zeros_like(vector)
            (bent,) = torch.autograd.grad(slope, free, change, retain_graph=True)
            rates = grad_of(outputs, point.weights, [bent], retain_graph=True)
            return flatten_slopes(rates, point.weights, point.dtype)

        return product


def _by_row(product: VectorProduct, rows: Tensor) -> Tensor:
    """A product for each row, one by one, so that memory stays that of a single product."""
    return torch.stack([product(row) for row in rows])
