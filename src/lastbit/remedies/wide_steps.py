"""Steps of any optimizer taken in a wider number format than that of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo
from torch.optim import Optimizer

from lastbit.optimizers.perturbed import Followed
from lastbit.remedies.remedy import Remedy
from lastbit.tensors import local

LOW = (torch.bfloat16, torch.float16)
NO_LOW_WEIGHTS = "the weights have more bits than bfloat16 and half"


class WideSteps:
    """Lets an optimizer step on copies of its weights in a wider format, and writes what it made of them back.

    While the optimizer steps, its groups hold the copies, with gradients in the wider format; so its arithmetic and its
    state (momenta, second moments) are in that format, whatever its class. In between it holds the weights themselves.
    Here a value is rounded to the nearest number of the weight's format; a subclass may do otherwise.

    A noise that moves weights after the step (`lb.Ulp`, `lb.Rounding`) moves them as they are written back; one that is
    a part of the arithmetic (`lb.Scale`) acts in the wider format.

    Args:
        dtype: the wider format.
        narrow: the formats of the weights that are copied; others are stepped as they are.
    """

    def __init__(self, dtype: torch.dtype, narrow: tuple[torch.dtype, ...]) -> None:
        self.dtype, self.narrow = dtype, narrow
        self.widened = 0  # the weights that were copied in the last step
        self._pairs: list[tuple[Tensor, Tensor]] = []  # of weights and copies, while the groups hold the copies

    def put_on(self, optimizer: Optimizer) -> Optimizer:
        """Let an optimizer step so from now on; it is changed in place and returned."""
        if isinstance(optimizer, Followed):
            optimizer._own_step = self._around(optimizer, optimizer._own_step)  # type: ignore[method-assign]
        else:
            optimizer.register_step_pre_hook(self._before)
            hooks = optimizer._optimizer_step_post_hooks
            earlier = dict(hooks)
            optimizer.register_step_post_hook(lambda optimizer, *_: self._after(optimizer))
            for key, hook in earlier.items():  # which are to see the weights
                del hooks[key]
                hooks[key] = hook
        optimizer.register_state_dict_post_hook(lambda optimizer, state: {**state, **self.state(_weights(optimizer))})
        optimizer.register_load_state_dict_pre_hook(self._before_loading)
        optimizer.register_load_state_dict_post_hook(self._take_off)  # which casts state to the weights' format
        return optimizer

    def read(self, weight: Tensor) -> Tensor:
        """The value that the optimizer steps, in the wider format."""
        return weight.detach().to(self.dtype)

    def write(self, weight: Tensor, value: Tensor) -> None:
        """Write a value of the wider format to a weight."""
        local(weight).copy_(local(value))

    def state(self, weights: list[Tensor]) -> Mapping[str, Any]:
        """What a checkpoint holds beside the optimizer's own state."""
        return {}

    def load(self, weights: list[Tensor], state: Mapping[str, Any]) -> None:
        """Go on from a state that `state` returned, if there is one in it."""

    def _around(self, optimizer: Optimizer, step: Callable[..., Any]) -> Callable[..., Any]:
        def wide_step(*args: Any, **kwargs: Any) -> Any:
            """Take the optimizer's own step in the wider format."""
            args, kwargs = self._before(optimizer, args, kwargs)
            try:
                return step(*args, **kwargs)
            finally:
                self._after(optimizer)

        return wide_step

    @_disable_dynamo
    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any]:
        self._take_off(optimizer)  # where an earlier step failed
        self._put_copies(optimizer)
        return (
            tuple(self._closure(optimizer, given) if callable(given) else given for given in args),
            {name: self._closure(optimizer, given) if callable(given) else given for name, given in kwargs.items()},
        )

    @_disable_dynamo
    def _after(self, optimizer: Optimizer) -> None:
        self.widened = len(self._pairs)
        self._write_back()
        self._take_off(optimizer)

    def _before_loading(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        self.load(_weights(optimizer), state)
        self._put_copies(optimizer)

    def _closure(self, optimizer: Optimizer, closure: Callable[[], Any]) -> Callable[[], Any]:
        def evaluated() -> Any:
            """Evaluate the model at the weights, in their own format, and go on with the copies."""
            pairs = self._pairs
            self._write_back()
            self._take_off(optimizer)
            loss = closure()
            self._hold(optimizer, pairs)
            return loss

        return evaluated

    @torch.no_grad()
    def _put_copies(self, optimizer: Optimizer) -> None:
        chosen = [weight for weight in _weights(optimizer) if weight.dtype in self.narrow]
        self._hold(optimizer, [(weight, nn.Parameter(self.read(weight))) for weight in chosen])
        for _, copy in self._pairs:
            state = optimizer.state.get(copy, {})
            for name, value in state.items():  # which was made before the steps were put on
                if isinstance(value, Tensor) and value.dtype in self.narrow:
                    state[name] = value.to(self.dtype)

    def _hold(self, optimizer: Optimizer, pairs: list[tuple[Tensor, Tensor]]) -> None:
        """Let the optimizer's groups hold the copies, with the present gradients."""
        self._pairs = pairs
        for weight, copy in pairs:
            copy.grad = None if weight.grad is None else weight.grad.to(self.dtype)
        _exchange(optimizer, pairs)

    def _take_off(self, optimizer: Optimizer) -> None:
        """Let the optimizer's groups hold the weights again."""
        pairs, self._pairs = self._pairs, []
        _exchange(optimizer, [(copy, weight) for weight, copy in pairs])

    @torch.no_grad()
    def _write_back(self) -> None:
        for weight, copy in self._pairs:
            if copy.grad is not None:  # without a gradient it was not stepped
                self.write(weight, copy)


def _weights(optimizer: Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def _exchange(optimizer: Optimizer, pairs: list[tuple[Tensor, Tensor]]) -> None:
    """Put the second of each pair into the place of the first, in the groups and as a key of the state."""
    others = {id(one): other for one, other in pairs}
    for group in optimizer.param_groups if pairs else ():
        group["params"][:] = [others.get(id(weight), weight) for weight in group["params"]]
    for one, other in pairs:
        if one in optimizer.state:
            optimizer.state[other] = optimizer.state.pop(one)


def has_low_weights(optimizer: Optimizer) -> bool:
    """Whether an optimizer has weights in bfloat16 or half."""
    return any(weight.dtype in LOW for weight in _weights(optimizer))


_PUT_ON: list[tuple[Remedy, WideSteps]] = []  # in this process, on optimizers of its program


def put_on_program(remedy: Remedy, steps: WideSteps, optimizer: Optimizer) -> None:
    """Put steps on an optimizer that a program has made, for `said_of_steps`."""
    _PUT_ON.append((remedy, steps))
    steps.put_on(optimizer)


def said_of_steps(remedy: Remedy) -> str:
    """What to say of a program in which a remedy found no weight to act on; empty where it did."""
    found = any(steps.widened for of, steps in _PUT_ON if of == remedy)
    return "" if found else f"stepped no weights of few bits: {remedy.label} changed nothing"
