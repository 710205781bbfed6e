"""The Hessian of a training loss."""

from torch import Tensor

from lastbit.curvature.batches import Piece
from lastbit.curvature.differentiable import refuse_once_differentiable
from lastbit.curvature.operator import CurvatureOperator, Product
from lastbit.curvature.parameters import flatten_slopes, unflatten
from lastbit.curvature.point import grad_of


class HessianOperator(CurvatureOperator):
    """The Hessian of a mean loss, known by its products (Pearlmutter 1994); arguments as for `CurvatureOperator`.

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
        # Slopes that no weight enters (a loss linear in them) have no graph and curve nothing.
        curved = [(index, slope) for index, slope in enumerate(slopes) if slope.requires_grad]

        def product(vector: Tensor) -> Tensor:
            """Return the Hessian's product with a vector of shape (n,)."""
            parts = unflatten(vector, point.weights)
            cotangents = [parts[index] for index, _ in curved]
            rates = grad_of([slope for _, slope in curved], point.weights, cotangents, retain_graph=True)
            return flatten_slopes(rates if curved else [None] * len(parts), point.weights, point.dtype)

        return product
