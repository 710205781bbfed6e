"""The Hessian of a training loss, and its Gauss-Newton part."""

import torch
from torch import Tensor

from lastbit.curvature.loss.batches import Piece
from lastbit.curvature.loss.checks import refuse_once_differentiable
from lastbit.curvature.loss.parameters import flatten_slopes, unflatten
from lastbit.curvature.loss.point import grad_of
from lastbit.curvature.operator import CurvatureOperator, Product
from lastbit.errors import LastbitTypeError


class HessianOperator(CurvatureOperator):
    """The Hessian of a mean loss by Hessian-vector products (Pearlmutter 1994); arguments as for `CurvatureOperator`.

    Example:
        >>> import torch
        >>> model, data = torch.nn.Linear(2, 1, bias=False), (torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 1))
        >>> HessianOperator(model, torch.nn.functional.mse_loss, data) @ torch.tensor([1.0, 1.0])
        tensor([9., 1.])
    """

    def _product_at(self, piece: Piece) -> Product:
        point = self._point
        slopes = point.slopes(point.piece_loss(piece), create_graph=True)
        refuse_once_differentiable(slopes)
        return lambda vector: point.product(slopes, vector, retain_graph=True)


class GaussNewtonOperator(CurvatureOperator):
    """The Gauss-Newton matrix J^T (d2l/dz2) J of a mean loss l(z), z the model's outputs and J = dz/dw.

    It is the Hessian without the curvature of the model itself (Schraudolph 2002), and positive semidefinite for a loss
    that is convex in the outputs. Arguments as for `CurvatureOperator`; the model must return one tensor.
    """

    def _product_at(self, piece: Piece) -> Product:
        point = self._point
        outputs = point.outputs(piece)
        if not isinstance(outputs, Tensor):
            raise LastbitTypeError(
                f"the model returns a {type(outputs).__name__}, not one tensor; wrap it in a module that returns one"
            )
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
