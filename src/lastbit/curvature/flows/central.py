"""The central flow of gradient descent: the path of its average, past the edge of stability too."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from lastbit.curvature.flows.complementarity import Matrix, complementary, coordinates, pairs_of, symmetric
from lastbit.curvature.search import WarmSearch
from lastbit.curvature.subspace import Counted
from lastbit.errors import LastbitError
from lastbit.samples import Loss

SUBSTEPS = 4  # of a step of descent
_NEAR = 0.95  # of the edge: eigenvalues above it may come up to it within a substep
_FAR = 0.8  # of the edge: below it the eigenvalues are looked at once a step
_TOL, _PRODUCTS = 1e-4, 300  # of the eigenvalues, and most products of a search
_PROBED = 100  # substeps from one search for a missed eigenvalue to the next
_MORE = 2  # eigenvalues that are followed beside those near the edge


@dataclass(frozen=True)
class CentralPoint:
    """The central flow after so many steps of descent."""

    step: float
    loss: float  # at the flow's own weights
    predicted_loss: float  # average loss of the descent that oscillates about them: that plus tr(H S) / 2
    sharpness: float  # largest eigenvalue of H, with weight decay
    variances: tuple[float, ...]  # eigenvalues of the covariance S of the oscillation, the largest first; () below

    @property
    def oscillates(self) -> bool:
        """Whether descent is past its edge here."""
        return any(value > 0 for value in self.variances)


class CentralFlow:
    """What gradient descent does on average (Cohen et al. 2025, arXiv 2410.24206), from a model's present weights.

    Past its edge descent oscillates about a path w along the Hessian's eigenvectors of eigenvalue 2 / lr, with a
    covariance S, and its average gradient is grad L(w) + grad <H(w), S> / 2 by Taylor's formula. The flow is, in steps,

        dw/dt = -lr (grad L + grad <H, S> / 2),

    where S is what keeps these eigenvalues from passing 2 / lr: positive semidefinite on their eigenvectors, and zero
    along those that would fall by themselves. That is a semidefinite complementarity problem, solved in each of
    `substeps` explicit steps for the curvature at its end. Below the edge S is zero, and this is the gradient flow.

    Everything is in float64. A substep costs a gradient, some products and, at the edge, a third derivative for each
    pair of eigenvectors at it; it holds the graph of a Hessian product.

    Args:
        model: copied; it must give the same output twice (no dropout, no batch normalisation in training mode).
        loss: `loss(model(inputs), targets)`, a mean over samples.
        data: the full batch, (inputs, targets).
        lr: learning rate of the descent.
        weight_decay: coupled, of the descent.
        substeps: of a step of descent; 2 at least, since with 1 the flow's own steps would oscillate.

    Raises:
        LastbitError: lr is not positive and finite, or there are fewer than 2 substeps.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: tuple[Any, Any],
        lr: float,
        *,
        weight_decay: float = 0.0,
        substeps: int = SUBSTEPS,
    ) -> None:
        if not 0 < lr < math.inf:
            raise LastbitError(f"lr={lr} is not allowed; give the descent's learning rate, positive and finite")
        if isinstance(substeps, bool) or not isinstance(substeps, int) or substeps < 2:
            raise LastbitError(f"substeps={substeps!r} is not allowed; give a whole number of 2 or more")
        self._model = copy.deepcopy(model).double()
        self._weights = [weight for weight in self._model.parameters() if weight.requires_grad]
        self._loss, self._lr, self._decay, self._substeps = loss, lr, weight_decay, substeps
        self._data = tuple(_in_float64(part) for part in data)
        self._taken = 0  # substeps
        self._search = self._new_search(1 + _MORE)
        self._covariance = np.zeros(0)  # the last, on the eigenvectors near the edge, in `coordinates`
        self._near = torch.zeros(0, 0)  # these eigenvectors, (near, size)
        self._highest = math.inf  # eigenvalue when last looked at
        self._here: tuple[CentralPoint, Tensor] | None = None
        self.evaluations = 0  # gradients, products and their gradients, so far

    @property
    def step(self) -> float:
        """Steps of descent that the flow has gone."""
        return self._taken / self._substeps

    @property
    def weights(self) -> dict[str, Tensor]:
        """Name -> the weights now."""
        return {name: weight.detach() for name, weight in self._model.named_parameters()}

    def advance(self, step: int) -> CentralPoint:
        """Follow the flow to a step of descent, and look at it there.

        Raises:
            LastbitError: it lies behind, or the flow's loss or curvature is not finite.
        """
        if step < self.step:
            raise LastbitError(f"step {step}: the flow has passed {self.step:g} and does not run backwards")
        while self._taken < step * self._substeps:
            self._move(self._looked()[1])
        return self._looked()[0]

    def _looked(self) -> tuple[CentralPoint, Tensor]:
        """The flow here, and the slope that it goes down."""
        if self._here is None:
            place = _Place(self._loss(self._model(self._data[0]), self._data[1]), self._weights, self._decay)
            if self._taken % self._substeps == 0 or self._highest > _FAR * 2 / self._lr:
                values, vectors = self._eigenpairs(place)
                self._highest = float(values[0])
            else:
                values, vectors = np.array([self._highest]), place.gradient[None]
            near = int((values > _NEAR * 2 / self._lr).sum())
            bent = [place.bent(vectors[i], vectors[j]) for i, j in pairs_of(near)]
            pull = self._balance(values[:near], vectors[:near], place.gradient, bent)
            self.evaluations += place.products + 1
            self._here = self._point(place.loss, values, near), place.gradient + pull
        return self._here

    def _point(self, loss: float, values: Matrix, near: int) -> CentralPoint:
        covariance = symmetric(self._covariance, near)
        predicted = loss + float(np.diag(covariance) @ (values[:near] - self._decay)) / 2
        if not math.isfinite(loss) or not math.isfinite(float(values[0])):
            raise LastbitError(f"the central flow cannot be followed: at step {self.step:g} its loss is {loss}")
        variances = np.linalg.eigvalsh(covariance)[::-1].tolist()
        return CentralPoint(self.step, loss, predicted, float(values[0]), tuple(variances))

    def _balance(self, values: Matrix, vectors: Tensor, gradient: Tensor, bent: list[Tensor]) -> Tensor:
        """Find the covariance on the eigenvectors near the edge, and return what it adds to the gradient."""
        near, start = len(values), self._turned(vectors)
        self._near = vectors
        if not near:
            self._covariance = np.zeros(0)
            return torch.zeros_like(gradient)
        scale = [1.0 if i == j else math.sqrt(2) for i, j in pairs_of(near)]
        slopes = torch.stack(bent) * torch.tensor(scale, dtype=torch.float64, device=gradient.device)[:, None]
        room = np.diag(2 / self._lr - values) * self._substeps / self._lr  # up to the edge, per unit of this substep
        offset = coordinates(room) + (slopes @ gradient).cpu().numpy()
        response = (slopes @ slopes.T).cpu().numpy() / 2
        self._covariance = complementary(offset, response, start)
        return torch.as_tensor(self._covariance, device=gradient.device) @ slopes / 2

    def _turned(self, vectors: Tensor) -> Matrix | None:
        """The last covariance on other eigenvectors: what no curvature pins stays as it was."""
        if not len(self._near) or not len(vectors):
            return None
        turn = (vectors @ self._near.T).cpu().numpy()
        return coordinates(turn @ symmetric(self._covariance, len(self._near)) @ turn.T)

    def _eigenpairs(self, place: _Place) -> tuple[Matrix, Tensor]:
        """The largest eigenvalues, at least one of which is not near the edge, where there are so many."""
        while True:
            found = self._search.largest(Counted(place), probe=self._taken % _PROBED == 0).pairs.ritz
            values: Matrix = found.values.numpy()
            near = int((values > _NEAR * 2 / self._lr).sum())
            if near < len(values) or len(values) == place.shape[0]:
                return values, found.vectors
            self._search = self._new_search(near + _MORE)

    def _new_search(self, count: int) -> WarmSearch:
        size = sum(weight.numel() for weight in self._weights)
        return WarmSearch(min(count, size), _TOL, _PRODUCTS, torch.Generator().manual_seed(0))

    def _move(self, slope: Tensor) -> None:
        with torch.no_grad():
            vector = parameters_to_vector(self._weights) - self._lr / self._substeps * slope
            vector_to_parameters(vector, self._weights)
        self._taken, self._here = self._taken + 1, None


class _Place:
    """A loss at one place: its gradient, its Hessian's products and their gradients, weight decay included."""

    def __init__(self, loss: Tensor, weights: Sequence[Tensor], decay: float) -> None:
        self.loss, self._weights, self._decay = float(loss.detach()), weights, decay
        self._slopes = torch.autograd.grad(loss, weights, create_graph=True)
        self._at = torch.cat([weight.detach().reshape(-1) for weight in weights])
        self.gradient = _flat(self._slopes) + decay * self._at
        self.shape, self.dtype, self.device = (len(self._at),) * 2, self._at.dtype, self._at.device
        self.products = 0

    def __matmul__(self, vector: Tensor) -> Tensor:
        return _flat(self._product(vector, kept=False)) + self._decay * vector

    def bent(self, first: Tensor, second: Tensor) -> Tensor:
        """The gradient of u'H(w)v by the weights."""
        curved = self._product(first, kept=True)
        pairs = zip(curved, self._parts(second), strict=True)
        along = torch.stack([(one * other).sum() for one, other in pairs]).sum()
        self.products += 2
        return _flat(torch.autograd.grad(along, self._weights, retain_graph=True))

    def _product(self, vector: Tensor, *, kept: bool) -> tuple[Tensor, ...]:
        self.products += 1
        return torch.autograd.grad(
            self._slopes, self._weights, self._parts(vector), create_graph=kept, retain_graph=True
        )

    def _parts(self, vector: Tensor) -> list[Tensor]:
        parts = torch.split(vector, [weight.numel() for weight in self._weights])
        return [part.reshape(weight.shape) for part, weight in zip(parts, self._weights, strict=True)]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _in_float64(values: Any) -> Any:
    """Real numbers in float64, and labels as they are."""
    return values.double() if isinstance(values, Tensor) and values.is_floating_point() else values
