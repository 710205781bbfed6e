"""The tensor operations that train an optimizer's weights, forward and backward, seen one by one.

An operation belongs to an optimizer's training if autograd records it and one of its inputs depends on the optimizer's
weights, or if the backward pass does it for such an operation. Evaluation without gradients, other networks, data that
are made ready and the update itself do not belong to it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from lastbit.optimizers.rounded import base_name, rounded_results, tensors_in

Act = Callable[[list[Tensor]], None]  # is given the results of an operation, to change them where they are

_NEXT_MARK = count()


class TrainingOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that hands on the rounded results of the operations that train one optimizer's weights.

    It lies below all other modes of its thread, so that those of the program are entered and left as if it were not
    there, and leaves when the optimizer is gone. Inside of vmap and torch.func's transforms nothing is recorded by
    autograd itself, and nothing handed on; what torch.compile compiles runs eagerly under any such mode.

    Args:
        optimizer: whose weights are trained; it is not kept alive.
        act: is given the results; it must not keep the optimizer alive.
        chosen: base names of operations, of which alone the results are handed on; None for all that round.
    """

    supports_higher_order_operators = True

    def __init__(self, optimizer: Optimizer, act: Act, chosen: frozenset[str] | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._optimizer, self._act, self._chosen = weakref.ref(optimizer), act, chosen
        self._mark = f"lastbit {next(_NEXT_MARK)}"  # under which a node of the graph keeps whether it belongs here
        self._weights: frozenset[int] = frozenset()
        self._groups_at: tuple[int, int] | None = None  # number of steps and groups for which the weights were listed
        self._thread = threading.get_ident()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import its compiler to keep it out of here, where it has nothing to compile

    @property
    def is_over(self) -> bool:
        """Whether the optimizer is gone."""
        return self._optimizer() is None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation; hand on its results if they are rounded and belong to the training."""
        kwargs = kwargs or {}
        if any(_is_foreign(kind) for kind in types):
            return NotImplemented  # its class goes on, and meets this mode again with the tensors inside
        result = func(*args, **kwargs)
        optimizer = self._optimizer()
        if optimizer is None or not isinstance(func, OpOverload):
            return result
        if self._chosen is not None and base_name(func) not in self._chosen:
            return result
        results = rounded_results(func, args, kwargs, result)
        if results and self._belongs(optimizer, args, kwargs):
            with torch.no_grad():
                self._act(results)
        return result

    def leave(self) -> None:
        """Leave the stack of modes, from whatever place; called in another thread, with the next one that comes."""
        if threading.get_ident() == self._thread:
            _rearrange(without=[self])

    def _belongs(self, optimizer: Optimizer, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        at = getattr(optimizer, "noise_steps", 0), len(optimizer.param_groups)
        if at != self._groups_at:
            self._groups_at = at
            self._weights = frozenset(id(weight) for group in optimizer.param_groups for weight in group["params"])
        if torch._C._current_graph_task_id() != -1:
            node = torch._C._current_autograd_node()
            if node is not None and self._depends(node):
                return True
        if not torch.is_grad_enabled():
            return False
        return any(self._is_trained(tensor) for value in (*args, *kwargs.values()) for tensor in tensors_in(value))

    def _is_trained(self, tensor: Tensor) -> bool:
        if not tensor.requires_grad:
            return False
        return id(tensor) in self._weights or (tensor.grad_fn is not None and self._depends(tensor.grad_fn))

    def _depends(self, node: Any) -> bool:
        """Whether a node of autograd's graph leads to one of the weights. Every node is asked once."""
        variable = getattr(node, "variable", None)
        if variable is not None:  # it adds to the gradient of a leaf
            return id(variable) in self._weights
        waiting = [node]
        while waiting:
            last = waiting[-1]
            answer = self._answer(last)
            if isinstance(answer, bool):
                last.metadata[self._mark] = answer
                waiting.pop()
            else:
                waiting.append(answer)
        return bool(node.metadata[self._mark])

    def _answer(self, node: Any) -> Any:
        """Whether it leads to a weight, or a node that has to be asked before."""
        known = node.metadata.get(self._mark)
        if known is not None:
            return known
        unknown = None
        for parent, _ in node.next_functions:
            if parent is None:
                continue
            variable = getattr(parent, "variable", None)
            answer = id(variable) in self._weights if variable is not None else parent.metadata.get(self._mark)
            if answer:
                return True
            if answer is None:
                unknown = parent
        return False if unknown is None else unknown


def watch_operations(optimizer: Optimizer, act: Act, chosen: frozenset[str] | None = None) -> None:
    """From now on let `act` change the rounded results of the operations that train the weights of `optimizer`."""
    mode = TrainingOperations(optimizer, act, chosen)
    _rearrange(below=mode)
    weakref.finalize(optimizer, mode.leave).atexit = False


def _rearrange(*, below: TrainingOperations | None = None, without: Sequence[TrainingOperations] = ()) -> None:
    """Put a mode below all others of this thread, and take out some and those that are over."""
    modes = _get_current_dispatch_mode_stack()
    # By torch's own methods: those of a subclass, such as a counter's, may do more.
    for mode in reversed(modes):
        TorchDispatchMode.__exit__(mode, None, None, None)  # type: ignore[no-untyped-call]
    over = [mode for mode in modes if isinstance(mode, TrainingOperations) and (mode in without or mode.is_over)]
    kept = [mode for mode in modes if mode not in over]
    for mode in kept if below is None else [below, *kept]:
        TorchDispatchMode.__enter__(mode)  # type: ignore[no-untyped-call]


def _is_foreign(kind: Any) -> bool:
    return kind not in (Tensor, torch.nn.Parameter) and kind.__torch_dispatch__ != Tensor.__torch_dispatch__
