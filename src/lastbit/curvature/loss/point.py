"""The mean loss over the data at one point: copies of a model's parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from lastbit.curvature.loss.batches import Batches, Piece
from lastbit.curvature.loss.calls import arguments, bare, loss_of_call, outputs_of
from lastbit.curvature.loss.checks import twice_differentiable
from lastbit.curvature.loss.parameters import flat_dtype, flatten, flatten_slopes, unflatten
from lastbit.curvature.loss.reduction import BY_SAMPLES, Reduction
from lastbit.curvature.untouched.undisturbed import ReachableState, undisturbed
from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.samples import Loss, on_device

# What a model or a loss that cannot be evaluated in float64 raises.
FAILURES = (RuntimeError, TypeError, ValueError, NotImplementedError, AttributeError, LookupError)
_NARROW = (torch.float32, torch.float16, torch.bfloat16)


class LossPoint:
    """The objective at copies of the parameters and buffers: training may go on, and measuring cannot touch it.

    Args:
        model: the network.
        loss: `loss(model(inputs), targets)`; a module's parameters and buffers are copied too.
        parameters: those that are chosen, by name.
        batches: the data.
        dtype: floating-point type of the copies; None for the model's own.
        reduction: how pieces of the data are weighted.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        parameters: Mapping[str, nn.Parameter],
        batches: Batches,
        *,
        dtype: torch.dtype | None = None,
        reduction: Reduction = BY_SAMPLES,
    ) -> None:
        self.model, self.loss, self.parameters, self.batches = model, loss, parameters, batches
        self._dtype, self._reduction = dtype, reduction
        copies: dict[Tensor, Tensor] = {}
        self._state = _copied(model, dtype, copies)
        self._loss_state = _copied(loss, dtype, copies) if isinstance(loss, nn.Module) else {}
        # Copies that an evaluation may write to: buffers, and what a loss module holds.
        self.writable = [*(copies[buffer] for _, buffer in model.named_buffers()), *self._loss_state.values()]
        self.weights = [copies[parameter].requires_grad_() for parameter in parameters.values()]
        self.dtype = flat_dtype(self.weights)

    @property
    def size(self) -> int:
        """Number of entries of the chosen parameters."""
        return sum(weight.numel() for weight in self.weights)

    @contextmanager
    def evaluating(self) -> Iterator[ReachableState]:
        """Within the block model and loss hold the copies, and nothing is disturbed.

        A backward pass that recomputes activations, and a loss that reads the model's parameters itself, then see the
        copies. Blocks of two points cannot be nested.
        """
        with undisturbed(self.model, self.loss, *self.writable) as state, twice_differentiable(), ExitStack() as stack:
            stack.enter_context(
                _reparametrize_module(self.model, dict(self._state), tie_weights=True, stack_weights=True)
            )
            if isinstance(self.loss, nn.Module):
                stack.enter_context(
                    _reparametrize_module(self.loss, dict(self._loss_state), tie_weights=True, stack_weights=True)
                )
            yield state

    @contextmanager
    def in_float64(self) -> Iterator[None]:
        """As `evaluating`, in float64 throughout."""
        with self.evaluating(), _InFloat64():
            yield

    def outputs(self, piece: Piece) -> Any:
        """The model's outputs at a piece of the data."""
        return outputs_of(self._evaluated, piece.inputs, piece.targets)

    def _evaluated(self, inputs: Any) -> Any:
        """The model's outputs at a copy of some inputs."""
        model, prefix = bare(self.model)
        positional, named = arguments(model, self._on_device(inputs))
        state = {name.removeprefix(prefix): tensor for name, tensor in self._state.items()}
        return functional_call(model, state, positional, named)

    def _on_device(self, tree: Any) -> Any:
        return on_device(tree, self.weights[0].device, self._dtype)

    def loss_of(self, outputs: Any, piece: Piece) -> Tensor:
        """The loss of outputs at the targets of a piece."""
        training = self.model.training
        return scalar(loss_of_call(self.loss, outputs, self._on_device(piece.targets), training=training))

    def piece_loss(self, piece: Piece) -> Tensor:
        """The loss of a piece."""
        return self.loss_of(self.outputs(piece), piece)

    def mean(self, of_piece: Callable[[Piece], Tensor]) -> Tensor:
        """Combine the flat vectors of all pieces into that of the mean loss.

        Raises:
            LastbitError: no sample counts, as where every target is ignored.
        """
        total, weights = None, 0.0
        with self.evaluating():
            # A loader that shuffles then yields the same batches at every pass, whatever was drawn in between.
            torch.default_generator.manual_seed(0)
            for piece in self.batches.pieces():
                weight = self._reduction.weight(piece)
                if not weight:  # its loss is 0 / 0
                    continue
                share = of_piece(piece) * weight
                total = share if total is None else total.add_(share)
                weights += weight
        if total is None:
            raise LastbitError(f"no sample of the data counts: the loss is a mean over {self._reduction.what}")
        return total if self._reduction.adds else total.div_(weights)

    def gradient(self) -> Tensor:
        """Gradient of the whole loss, flat."""
        return self.mean(lambda piece: flatten(self.slopes(self.piece_loss(piece)), self.dtype))

    def slopes(self, loss: Tensor, *, create_graph: bool = False) -> tuple[Tensor, ...]:
        """Gradient of a loss in the chosen parameters; zero in those it does not depend on.

        Raises:
            LastbitError: it depends on none of them.
        """
        slopes = grad_of(loss, self.weights, create_graph=create_graph) if loss.requires_grad else [None]
        if all(slope is None for slope in slopes):
            raise LastbitError(
                f"the loss does not depend on the parameters {', '.join(list(self.parameters)[:4])}...: "
                "look for detach(), torch.no_grad(), argmax or numpy on its way"
            )
        pairs = zip(slopes, self.weights, strict=True)
        return tuple(torch.zeros_like(weight) if slope is None else slope for slope, weight in pairs)

    def product(self, slopes: Sequence[Tensor | None], vector: Tensor, *, retain_graph: bool | None = None) -> Tensor:
        """The Hessian's product with a flat vector, from the graph of a loss's slopes.

        Slopes without a graph (the loss is linear in those weights) contribute nothing.
        """
        pairs = zip(slopes, unflatten(vector, self.weights), strict=True)
        curved = [(slope, part) for slope, part in pairs if slope is not None and slope.requires_grad]
        if not curved:
            return torch.zeros_like(vector)
        rates = grad_of(
            [slope for slope, _ in curved], self.weights, [part for _, part in curved], retain_graph=retain_graph
        )
        return flatten_slopes(rates, self.weights, self.dtype)


def grad_of(
    output: Tensor | Sequence[Tensor],
    variables: Sequence[Tensor],
    cotangent: Sequence[Tensor] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> tuple[Tensor | None, ...]:
    """`torch.autograd.grad`, None where the output does not depend on a variable."""
    return torch.autograd.grad(
        output, variables, cotangent, create_graph=create_graph, retain_graph=retain_graph, allow_unused=True
    )


def _copied(module: nn.Module, dtype: torch.dtype | None, copies: dict[Tensor, Tensor]) -> dict[str, Tensor]:
    """Copies of a module's parameters and buffers by name, in another floating-point type where one is asked for.

    Tensors that have been copied already, for another module, keep that copy.
    """
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for tensor in state.values():
        if tensor not in copies:
            kind = dtype if tensor.is_floating_point() else None
            copies[tensor] = tensor.detach().to(dtype=kind, copy=True)
    return {name: copies[tensor] for name, tensor in state.items()}


def scalar(value: object) -> Tensor:
    """The loss, which must be one number.

    Raises:
        LastbitTypeError: it is not.
    """
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.reshape(())
    shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    raise LastbitTypeError(
        f"loss(outputs, targets) returns {shape}, not one number; reduce it, for instance by its mean"
    )


class _InFloat64(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every operation takes and gives float64 in place of narrower floating-point numbers.

    Casts inside a model (as in normalisations that compute in float32) and narrow tensors that a loss holds then do not
    round. Operations that write in place are left as they are.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch keeps its compiler away from a mode by importing it, for seconds; under one nothing is compiled."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func._schema.is_mutable:
            return func(*args, **named)
        if named.get("dtype") in _NARROW:
            named["dtype"] = torch.float64
        return tree_map(_widened, func(*tree_map(_widened, tuple(args)), **tree_map(_widened, named)))


def _widened(leaf: Any) -> Any:
    return leaf.to(torch.float64) if isinstance(leaf, Tensor) and leaf.dtype in _NARROW else leaf


def attempted(work: Callable[[], Tensor]) -> Tensor | None:
    """The result of work in float64; None where it cannot be done so, or is not finite."""
    try:
        value = work()
    except FAILURES:
        return None
    return value if value.dtype == torch.float64 and bool(value.isfinite().all()) else None
