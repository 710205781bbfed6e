"""The side of its kink on which each activation lies: where it changes, a ReLU's slope and the gradient jump.

Sides are recorded in one pass, and can be kept in another: each activation then takes the branch of that side.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lastbit.errors import LastbitError

Sides = dict[str, list[Tensor]]  # name of the module -> sides of each activation function it called, in order

_ONE_KINK = frozenset(
    {
        *(functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_),
        *(functional.leaky_relu, functional.leaky_relu_, functional.prelu, torch.prelu, Tensor.prelu),
    }
)
_TWO_KINKS = frozenset({functional.relu6, functional.hardtanh, functional.hardtanh_})
_LEAKY = frozenset({functional.leaky_relu, functional.leaky_relu_})
_PRELU = frozenset({functional.prelu, torch.prelu, Tensor.prelu})
_IN_PLACE = frozenset({functional.relu_, torch.relu_, Tensor.relu_, functional.leaky_relu_, functional.hardtanh_})


@contextmanager
def activation_sides(model: nn.Module) -> Iterator[Sides]:
    """Record, while the block runs, on which side of zero each input of the model's ReLU-like activations lies.

    Seen are ReLU, LeakyReLU, PReLU (kink at 0), ReLU6 and hardtanh (kinks at both ends), as modules, as functions and
    as methods of tensors, in whatever the model's `forward` calls. Not seen are compiled or scripted parts, and other
    operations with kinks, such as max pooling or clamp. The model computes what it would without: no generator is drawn
    from, nothing is changed, and all hooks are gone after the block.

    Args:
        model: whose forward passes run in the block, in this thread.

    Yields:
        A dictionary that fills as the model runs: booleans, or the number of kinks below for those with two.
    """
    sides: Sides = {}
    with _running_modules(model) as running, _Watch(sides, running):
        yield sides


@contextmanager
def kept_sides(model: nn.Module, sides: Mapping[str, Sequence[Tensor]]) -> Iterator[None]:
    """Let each activation take the branch of a recorded side while the block runs, whichever its input lies on.

    A ReLU is then its input where it was above 0 in the recorded pass, and 0 elsewhere: a function without a kink.

    Args:
        model: whose forward pass runs in the block, in this thread.
        sides: as `activation_sides` has recorded them; of several passes, those of the first count.

    Raises:
        LastbitError: the block runs more activations than were recorded, or of other shapes.
    """
    left = {name: list(seen) for name, seen in sides.items()}
    with _running_modules(model) as running, _Keep(left, running):
        yield


@contextmanager
def _running_modules(model: nn.Module) -> Iterator[list[str]]:
    """Names of the modules that are running, the innermost last; all hooks are gone after the block."""
    running: list[str] = []
    with ExitStack() as stack:
        for name, module in model.named_modules():
            begin = module.register_forward_pre_hook(lambda *_, name=name: running.append(name))
            end = module.register_forward_hook(lambda *_: _leave(running), always_call=True)
            stack.callback(begin.remove)
            stack.callback(end.remove)
        yield running


def differing_sides(sides: Mapping[str, list[Tensor]], others: Mapping[str, list[Tensor]]) -> dict[str, int]:
    """How many activations of each module are on different sides in two networks.

    Raises:
        LastbitError: the two did not run the same activations on batches of the same shape.
    """
    shapes, others_shapes = ({name: [t.shape for t in seen] for name, seen in part.items()} for part in (sides, others))
    if shapes != others_shapes:
        raise LastbitError(
            "the twins did not run the same activations on batches of the same shape: give both the same batches, in "
            f"the same order; got {_first_difference(shapes, others_shapes)}"
        )
    return {
        name: sum(int((one != other).sum()) for one, other in zip(seen, others[name], strict=True))
        for name, seen in sides.items()
    }


def are_reordered(sides: Mapping[str, list[Tensor]], others: Mapping[str, list[Tensor]]) -> bool:
    """Whether two networks ran the same samples in different orders: row by row they differ, and most rows are in both.

    Args:
        sides: of one network, the first dimension being the samples.
        others: of the other, of the same shapes.
    """
    pairs = [pair for name, seen in sides.items() for pair in zip(seen, others[name], strict=True)]
    one, other = next((pair for pair in pairs if pair[0].ndim > 1), (None, None))
    if one is None or other is None:
        return False
    rows = [tensor.flatten(1).to("cpu", torch.uint8) for tensor in (one, other)]
    differ = float((rows[0] != rows[1]).double().mean())
    if differ <= _MANY:
        return False
    first, second = (Counter(row.numpy().tobytes() for row in tensor) for tensor in rows)
    # Narrow layers have few patterns, which coincide for other reasons.
    return len(first) > len(one) / 2 and (first & second).total() > _MOST * len(one)


_MOST = 0.9  # so large a share of all samples' patterns in both networks is not chance
_MANY = 0.1  # so large a share of activations on different sides is not rounding at the beginning


class _Watch(TorchFunctionMode):
    """Sees every torch function called while it is entered; looks at activations of the model that is running."""

    def __init__(self, sides: Sides, running: list[str]) -> None:
        super().__init__()
        self._sides, self._running = sides, running

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self._running and (func in _ONE_KINK or func in _TWO_KINKS):
            # Looked at before the call, which may work in place.
            self._sides.setdefault(self._running[-1], []).append(_side(func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


class _Keep(TorchFunctionMode):
    """Replaces activations of the model that is running by the branches of recorded sides."""

    def __init__(self, left: dict[str, list[Tensor]], running: list[str]) -> None:
        super().__init__()
        self._left, self._running = left, running

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not (self._running and (func in _ONE_KINK or func in _TWO_KINKS)):
            return func(*args, **(kwargs or {}))
        values: Tensor = args[0] if args else (kwargs or {})["input"]
        recorded = self._left.get(self._running[-1])
        side = recorded.pop(0) if recorded else None
        if side is None or side.shape != values.shape:
            place = self._running[-1] or "the model itself"
            raise LastbitError(f"{place}: it runs an activation of shape {tuple(values.shape)} that was not recorded")
        branch = _branch(func, values, side, args, kwargs or {})
        in_place = func in _IN_PLACE or (kwargs or {}).get("inplace", False)
        return values.copy_(branch) if in_place else branch


def _branch(
    func: Callable[..., Any], values: Tensor, side: Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Tensor:
    """What an activation gives on a side."""
    if func in _TWO_KINKS:
        low, high = (0.0, 6.0) if func is functional.relu6 else _bounds(args, kwargs)
        return torch.where(side == 1, values, torch.where(side == 0, low, high).to(values.dtype))
    if func in _LEAKY:
        slope = args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01)
        return torch.where(side, values, slope * values)
    if func in _PRELU:
        slope = args[1] if len(args) > 1 else kwargs["weight"]
        shape = (1, -1, *(1,) * (values.dim() - 2)) if slope.numel() > 1 else ()
        return torch.where(side, values, slope.reshape(shape) * values)
    return torch.where(side, values, 0.0)


@torch.no_grad()
def _side(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    values: Tensor = (args[0] if args else kwargs["input"]).detach()
    if func in _ONE_KINK:
        return values > 0
    low, high = (0.0, 6.0) if func is functional.relu6 else _bounds(args, kwargs)
    return (values > low).to(torch.uint8) + (values >= high)


def _bounds(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[float, float]:
    low = args[1] if len(args) > 1 else kwargs.get("min_val", -1.0)
    high = args[2] if len(args) > 2 else kwargs.get("max_val", 1.0)
    return low, high


def _leave(running: list[str]) -> None:
    running.pop()


def _first_difference(shapes: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    name = next(name for name in [*shapes, *others] if shapes.get(name) != others.get(name))
    one, other = ([tuple(shape) for shape in part.get(name, [])] for part in (shapes, others))
    return f"{name or 'the model itself'}: {one} and {other}"
