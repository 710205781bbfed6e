"""Stable learning rates and weight decays of every convolution in a user's network (paper, section 5.5).

By theorem 5.7 each layer of a network obeys the one-layer bounds, with its input in place of the image and its
backpropagated signal in place of the residual. `layer_bounds` measures these bounds for real layers in six ways, from
the paper's closed form to the exact Hessian block of the layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lastbit.errors import LastbitError
from lastbit.pde.layers.operator import ForwardPass, LayerBlock
from lastbit.pde.layers.spectrum import BlockSpectrum, Extremes, block_spectrum
from lastbit.pde.layers.symbol import ClosedForm, closed_form, windowed_product
from lastbit.pde.layers.training import LayerTraining, plan_layers
from lastbit.precision import exact_products
from lastbit.samples import Loss

BoundKind = Literal["infinite", "pixel", "windowed", "frozen", "gauss-newton", "hessian"]


@dataclass(frozen=True, repr=False)
class LayerBounds:
    """The conditions under which a convolution is stable in gradient descent on a batch, all other parameters fixed.

    Stable means 0 < lr (c + weight_decay) < edge for every curvature c of the layer. The layer's own bound is
    necessary for the network's: the largest curvature of all parameters together is at least that of any layer.

    Attributes:
        closed_form: the paper's closed form, spectrum of the layer's input times curvature weights averaged over
            positions, for an infinite window (eq. 14). It is far too strict for small kernels on large smooth inputs.
        pixel: the same operator on a kernel of one pixel (eq. 19).
        windowed: the same operator on the layer's own kernel.
        frozen: exact block operator with the residual frozen, d2<a, f>/dW2 with a = dloss/doutputs. The paper's
            linearisation is this without the curvature of the layers above (it freezes the backpropagated signal too),
            so for a last convolution the two agree. It is zero almost everywhere in piecewise-linear networks (ReLU,
            max-pooling), up to what batch normalisation in training mode adds, and then the closed form is too.
        gauss_newton: exact Gauss-Newton block, which the paper neglects; never negative for a convex loss.
        hessian: exact Hessian block of the loss, the sum of the two.
        frozen_share: share of the frozen part in hessian.highest (its Rayleigh quotient along the top eigenvector,
            over hessian.highest); outside [0, 1] where the parts oppose each other.
    """

    name: str
    weight_shape: tuple[int, ...]  # channels out, channels in per group, kernel height, kernel width
    input_shapes: tuple[tuple[int, ...], ...]  # samples, channels, height, width; one for each call
    output_shapes: tuple[tuple[int, ...], ...]
    weight_decay: float
    edge: float  # 2 for gradient descent, 2 (1 + mu) for heavy ball, (2 + 2 mu) / (1 + 2 mu) for Nesterov
    closed_form: ClosedForm
    pixel: BlockSpectrum
    windowed: BlockSpectrum
    frozen: BlockSpectrum
    gauss_newton: BlockSpectrum
    hessian: BlockSpectrum
    frozen_share: float

    def __repr__(self) -> str:
        low, high = self.lr_range()
        shape = "x".join(map(str, self.weight_shape))
        at = f"weight decay {self.weight_decay:.3g}"
        return f"<LayerBounds {self.name} ({shape}): stable for lr between {low:.3g} and {high:.3g} at {at}>"

    def extremes(self, kind: BoundKind = "hessian") -> Extremes:
        """Lowest and highest curvature of the layer, measured in one of the ways.

        Raises:
            LastbitError: an unknown kind.
        """
        described: dict[BoundKind, Extremes] = {
            "infinite": self.closed_form,
            "pixel": self.pixel,
            "windowed": self.windowed,
            "frozen": self.frozen,
            "gauss-newton": self.gauss_newton,
            "hessian": self.hessian,
        }
        if kind not in described:
            raise LastbitError(f"kind is {kind!r}; it must be one of {', '.join(described)}")
        return described[kind]

    def max_lr(self, kind: BoundKind = "hessian") -> float:
        """Learning rate beyond which the layer's stiffest direction overshoots, at its weight decay."""
        return self.extremes(kind).max_lr(self.weight_decay, self.edge)

    def min_weight_decay(self, kind: BoundKind = "hessian") -> float:
        """Weight decay below which a direction of negative curvature grows at any learning rate."""
        return self.extremes(kind).min_weight_decay

    def lr_range(self, kind: BoundKind = "hessian") -> tuple[float, float]:
        """Open interval of stable learning rates; empty, (0, 0), where weight_decay < min_weight_decay."""
        return self.extremes(kind).lr_range(self.weight_decay, self.edge)

    def weight_decay_range(self, lr: float, kind: BoundKind = "hessian") -> tuple[float, float]:
        """Interval of stable weight decay at a learning rate; empty unless its lower end is below its upper end.

        Raises:
            LastbitError: lr is not finite and positive, or an unknown kind.
        """
        if not (math.isfinite(lr) and lr > 0):
            raise LastbitError(f"lr is {lr}; it must be finite and greater than 0")
        return self.extremes(kind).weight_decay_range(lr, self.edge)


@exact_products()
def layer_bounds(
    model: nn.Module,
    loss: Loss,
    batch: tuple[Any, Any],
    *,
    weight_decay: float | None = None,
    momentum: float = 0.0,
    nesterov: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
    layers: Sequence[str] | None = None,
    tolerance: float = 1e-3,
    max_products: int = 100,
    probes: int = 8,
) -> tuple[LayerBounds, ...]:
    """Measure the stable learning rates and weight decays of a network's `nn.Conv2d` layers, in their order.

    The network is measured in the modes it is in, and left as it is, random states included. Batch normalisation in
    training mode is measured with its batch statistics as part of the function; dropout in training mode is refused.
    A layer takes about three times the Hessian products of one Lanczos run, each of the order of two backward passes.

    Args:
        model: a network that returns one tensor, with float32 or float64 convolutions.
        loss: `loss(outputs, targets)`, one number without weight decay.
        batch: `(inputs, targets)`; the network is called as `model(inputs)`.
        weight_decay: coupled weight decay of every layer; 0 by default.
        momentum: momentum coefficient, as in `torch.optim.SGD`.
        nesterov: whether the momentum is Nesterov's.
        optimizer: a `torch.optim.SGD` to read these three from instead, for each layer that it steps.
        layers: names of those to measure, as in `model.named_modules()`; by default all (that the optimizer steps).
        tolerance: residual at which to stop, relative to the largest curvature.
        max_products: the most products for one spectrum; if they do not suffice, `converged` is False.
        probes: random sign vectors, at least 2, for the curvature weights of the closed form. The weights are exact if
            a pointwise activation follows and everything above it is linear.

    Raises:
        LastbitTypeError: the model or the loss does not return what it should.
        LastbitError: a wrong option, an unknown name, no convolution to measure, or the network draws random numbers.
    """
    _check_options(batch, tolerance, max_products, probes)
    model = getattr(model, "_orig_mod", model)  # a compiled network cannot be differentiated twice
    plans = plan_layers(
        model, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov, optimizer=optimizer, layers=layers
    )
    with torch.inference_mode(False), torch.enable_grad():
        evaluation = ForwardPass(model, loss, batch, {name: plan.conv for name, plan in plans.items()})
        limits = tolerance, max_products, probes
        return tuple(_measure(name, plan, evaluation.block(name), *limits) for name, plan in plans.items())


def _measure(
    name: str, plan: LayerTraining, block: LayerBlock, tolerance: float, max_products: int, probes: int
) -> LayerBounds:
    weight = block.weight.detach()

    def spectrum(product: Callable[[Tensor], Tensor], like: Tensor = weight) -> BlockSpectrum:
        """Return the extreme eigenvalues of a symmetric product."""
        return block_spectrum(product, like, tolerance=tolerance, max_products=max_products)

    inputs = [call.input for call in block.calls]
    weights, weight_error = _curvature_weights(block, probes)
    windowed = windowed_product(plan.conv, inputs, weights)
    hessian = spectrum(block.hessian)
    return LayerBounds(
        name,
        tuple(weight.shape),
        tuple(tuple(x.shape) for x in inputs),
        tuple(tuple(call.output.shape) for call in block.calls),
        plan.weight_decay,
        plan.edge,
        closed_form(plan.conv, inputs, weights, weight_error=weight_error),
        spectrum(windowed, weight[:, :, :1, :1]),
        spectrum(windowed),
        spectrum(block.frozen),
        spectrum(block.gauss_newton),
        hessian,
        _frozen_share(block, hessian),
    )


def _frozen_share(block: LayerBlock, hessian: BlockSpectrum) -> float:
    """Share of the frozen part in the highest curvature; NaN where that is zero or not finite."""
    if hessian.highest == 0 or not math.isfinite(hessian.highest):
        return math.nan
    top = torch.from_numpy(hessian.highest_vector).to(block.weight)
    return float((top * block.frozen(top)).sum()) / hessian.highest


def _curvature_weights(block: LayerBlock, probes: int) -> tuple[list[Tensor], float]:
    """Curvature weights (sample, output channel) of each call, and their standard error, root mean square.

    A weight is the diagonal of C = d2<a, f>/dz2 averaged over positions, estimated by `probes` random sign vectors.
    """
    generator = torch.Generator().manual_seed(0)
    means, variances = [], []
    for call in block.calls:
        signs = (
            torch.randint(0, 2, call.output.shape, generator=generator).to(call.output) * 2 - 1 for _ in range(probes)
        )
        estimates = torch.stack([diagonal.mean((2, 3)) for diagonal in block.output_curvature(call, signs)])
        means.append(estimates.mean(0))
        variances.append(estimates.var(0, correction=1).flatten() / probes)
    return means, float(torch.cat(variances).mean().sqrt()) if variances else 0.0


def _check_options(batch: object, tolerance: float, max_products: int, probes: int) -> None:
    if not (isinstance(batch, tuple | list) and len(batch) == 2):
        raise LastbitError(f"batch is {type(batch).__name__}; it must be a pair (inputs, targets)")
    if not 0 < tolerance < 1:
        raise LastbitError(f"tolerance is {tolerance}; it must lie between 0 and 1")
    for option, value, least in (("max_products", max_products, 1), ("probes", probes, 2)):
        if value < least:
            raise LastbitError(f"{option} is {value}; it must be at least {least}")
