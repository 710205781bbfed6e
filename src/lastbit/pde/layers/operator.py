"""Hessian blocks of a network's convolutions, split as the paper splits them, by automatic differentiation.

For outputs f(W), loss l(f) and residual a = dl/df the Hessian of the loss in one layer's weight W is

    d2<a, f>/dW2 (a held fixed)   +   J^T (d2l/df2) J,   J = df/dW.

The first term is the *frozen* part, which the paper's linearisation keeps (Theorems 5.2 and 5.7 hold a
constant): for a layer followed by a pointwise activation r it is the sum over samples and positions of
a g r''(z) p p^T over the layer's input patches p, plus the curvature of the layers above. The second is the
Gauss-Newton part, which the paper neglects. Both come from one graph: G(a) = J^T a is differentiated in W for the first
and in a for J, whatever follows the layer: activation, normalisation or block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.samples import Loss


@dataclass(frozen=True, eq=False)
class Call:
    """One use of a convolution in a forward pass."""

    input: Tensor  # (samples, channels in, height, width), detached
    output: Tensor  # (samples, channels out, height, width), in the graph


class LayerBlock:
    """Products with the Hessian block of one convolution's weight, at one batch."""

    def __init__(self, evaluation: ForwardPass, weight: Tensor, calls: Sequence[Call]) -> None:
        self.weight = weight
        self.calls = tuple(calls)
        self._evaluation = evaluation
        (self._gradient,) = _pullback(evaluation.outputs, (weight,), evaluation.residual, create_graph=True)

    def frozen(self, vector: Tensor) -> Tensor:
        """Product with d2<a, f>/dW2, the residual a held fixed."""
        (product,) = _pullback(self._gradient, (self.weight,), vector)
        return product

    def gauss_newton(self, vector: Tensor) -> Tensor:
        """Product with J^T (d2l/df2) J."""
        (change,) = _pullback(self._gradient, (self._evaluation.residual,), vector)  # J v, for G is linear in a
        return self._pull_change(change)

    def hessian(self, vector: Tensor) -> Tensor:
        """Product with the block itself, the sum of the two parts."""
        frozen, change = _pullback(self._gradient, (self.weight, self._evaluation.residual), vector)
        return frozen + self._pull_change(change)

    def _pull_change(self, change: Tensor) -> Tensor:
        """J^T (d2l/df2) applied to a change of the outputs."""
        (slope_change,) = _pullback(self._evaluation.slope, (self._evaluation.free_outputs,), change)
        (product,) = _pullback(self._evaluation.outputs, (self.weight,), slope_change)
        return product

    def output_curvature(self, call: Call, probes: Iterable[Tensor]) -> Iterator[Tensor]:
        """Estimates of the diagonal of C = d2<a, f>/dz2, z the layer's output: s * (C s) for each probe s of signs.

        Exact where what follows acts on each entry of z alone before it is summed (C is then diagonal); otherwise
        unbiased over independent random signs (Bekas, Kokiopoulou and Saad 2007).
        """
        evaluation = self._evaluation
        (gradient,) = _pullback(evaluation.outputs, (call.output,), evaluation.residual, create_graph=True)
        for signs in probes:
            (product,) = _pullback(gradient, (call.output,), signs)
            yield signs * product


class ForwardPass:
    """One forward pass of a network and the loss's slope at its outputs, on copies of the weights and buffers.

    Args:
        model: the network, in the modes in which it is measured.
        loss: scalar loss of (outputs, targets).
        batch: (inputs, targets).
        layers: the convolutions to differentiate, by name.

    Raises:
        LastbitTypeError: the network does not return one tensor, or the loss not one number.
        LastbitError: the forward pass draws random numbers.
    """

    def __init__(self, model: nn.Module, loss: Loss, batch: tuple[Any, Any], layers: Mapping[str, nn.Conv2d]) -> None:
        # Tied weights share one copy, so that the block of either name includes both uses.
        copies = {id(conv.weight): conv.weight.detach().clone().requires_grad_() for conv in layers.values()}
        weights = {name: copies[id(conv.weight)] for name, conv in layers.items()}
        buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
        state = {f"{name}.weight" if name else "weight": weight for name, weight in weights.items()} | buffers
        with _deterministic(model), _recorded(layers) as calls:
            self.outputs = _one_tensor(functional_call(model, state, (batch[0],)))
            self.free_outputs = self.outputs.detach().requires_grad_()
            self.loss = _scalar(loss(self.free_outputs, batch[1]))
        unit = torch.ones_like(self.loss)
        (self.slope,) = _pullback(self.loss, (self.free_outputs,), unit, create_graph=True)
        self.residual = self.slope.detach().requires_grad_()  # a, free to be differentiated in
        self._weights, self._calls = weights, calls

    def block(self, name: str) -> LayerBlock:
        """The Hessian block of one of the layers."""
        return LayerBlock(self, self._weights[name], self._calls[name])


@contextmanager
def _recorded(layers: Mapping[str, nn.Conv2d]) -> Iterator[dict[str, list[Call]]]:
    """Record every call of every layer; the network continues with a copy of each output.

    An in-place activation would otherwise overwrite the recorded output.
    """
    calls: dict[str, list[Call]] = {name: [] for name in layers}

    def recorder(name: str) -> Callable[..., Tensor]:
        """Return a forward hook that records the calls of a layer."""

        def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor:
            """Record input and output; return a copy, which the network may overwrite."""
            given: Tensor = args[0] if args else kwargs["input"]
            # An unbatched (channels, height, width) input is a batch of one.
            batched = output if output.dim() == 4 else output.unsqueeze(0)
            calls[name].append(Call(given.detach().reshape(-1, *given.shape[-3:]), batched))
            return batched.clone().reshape(output.shape)

        return record

    handles = [layer.register_forward_hook(recorder(name), with_kwargs=True) for name, layer in layers.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _deterministic(model: nn.Module) -> Iterator[None]:
    """Restore torch's random states, and refuse a forward pass that draws from them."""
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices):
        before = _random_states(devices)
        yield
        moved = not all(map(torch.equal, before, _random_states(devices)))
    if moved:
        raise LastbitError(
            f"the network draws random numbers in its forward pass ({_random_layers(model)}), so its curvature is not "
            "one number; call model.eval(), or put those layers alone in evaluation mode"
        )


def _random_states(devices: Sequence[int]) -> list[Tensor]:
    """States of torch's default generators."""
    return [torch.get_rng_state(), *map(torch.cuda.get_rng_state, devices)]


def _random_layers(model: nn.Module) -> str:
    """Names of the random modules in training mode, or a hint where to look."""
    names = [
        f"{name or 'the module itself'}: {type(module).__name__}"
        for name, module in model.named_modules()
        if module.training and ("drop" in type(module).__name__.lower() or isinstance(module, nn.RReLU))
    ]
    return ", ".join(names) or "none of its modules is a dropout in training mode: look for functional calls"


def _pullback(
    output: Tensor, variables: tuple[Tensor, ...], cotangent: Tensor, *, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """Vector-Jacobian products, zero where the output does not depend on a variable."""
    if not output.requires_grad:
        return tuple(map(torch.zeros_like, variables))
    return torch.autograd.grad(
        output,
        variables,
        cotangent,
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )


def _one_tensor(outputs: object) -> Tensor:
    """The network's outputs, which must be one tensor, so that they have a residual."""
    if isinstance(outputs, Tensor):
        return outputs
    raise LastbitTypeError(
        f"the model returns {type(outputs).__name__}, not one tensor; wrap it in a module that returns one"
    )


def _scalar(value: object) -> Tensor:
    """The loss, which must be one number."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.reshape(())
    shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    raise LastbitTypeError(
        f"loss(outputs, targets) returns {shape}, not one number; reduce it, for instance by its mean"
    )
