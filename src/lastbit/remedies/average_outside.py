"""An average of the weights that a program trains, put on from outside: evaluated where the program evaluates."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.weak import WeakTensorKeyDictionary

from lastbit.tensors import is_split

Averaging = Callable[[list[Tensor], list[Tensor], Tensor], None]  # averages, present values, how many went into them


@dataclass
class _Entry:
    """The average of a tensor."""

    average: Tensor  # of the tensor's shape
    calls: int = 0  # steps since the tensor was first seen
    count: int = 0  # how many of them are in the average


class AverageOutside:
    """Averages the weights of the optimizers that it is told of, and evaluates the average in place of them.

    A program evaluates where it calls a module in evaluation mode with gradients off, or in inference mode. While the
    outermost such module runs, its weights are the averaged ones; before it returns they are put back. Whatever else
    the program does, it meets the weights in training: what it saves, loads and steps.

    Statistics of batch norm are averaged as the weights are, after each step before which a layer trained.

    Args:
        averaging: as `torch.optim.swa_utils` has it.
        start: steps that do not count yet.
        refuse: called with the reason where weights are split over processes: what gathers them for a forward pass
            keeps them for the next one, so that averaged weights would get into the training.
    """

    def __init__(self, averaging: Averaging, start: int, refuse: Callable[[str], NoReturn]) -> None:
        self._averaging, self._start, self._refuse = averaging, start, refuse
        self._entries: Any = WeakTensorKeyDictionary()  # tensor -> _Entry
        self._trained: set[nn.Module] = set()  # layers of batch norm that have trained since the last step
        self._is_inside = False  # a module that the program called
        self.evaluations = 0  # calls with averaged weights
        self.with_gradients = False  # whether a module in evaluation mode was called with gradients on

    def put_on(self) -> None:
        """See each call of a module, and each loading of weights, until the process ends."""
        call, load = nn.Module.__call__, nn.Module.load_state_dict

        @functools.wraps(call)
        def called(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            """Call a module; with averaged weights where it is the outermost one and the program evaluates."""
            if torch.compiler.is_compiling():  # no part of a graph
                return call(module, *args, **kwargs)
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training and torch.is_grad_enabled():
                self._trained.add(module)
            if self._is_inside:
                return call(module, *args, **kwargs)
            self._is_inside = True
            try:
                with self._applied(module):
                    return call(module, *args, **kwargs)
            finally:
                self._is_inside = False

        @functools.wraps(load)
        def loaded(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            """Load weights, of which there is no average yet."""
            for tensor in tensors_of(module):
                self._entries.pop(tensor, None)
            return load(module, *args, **kwargs)

        nn.Module.__call__ = called  # type: ignore[method-assign]
        nn.Module.load_state_dict = loaded  # type: ignore[method-assign, assignment]

    def follow(self, optimizer: Optimizer) -> None:
        """Take the weights of an optimizer into the average after each of its steps."""
        optimizer.register_step_post_hook(lambda optimizer, *_: self._stepped(optimizer))

    @torch.no_grad()
    def _stepped(self, optimizer: Optimizer) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        if any(map(_is_sharded, weights)):
            self._refuse(
                "an average cannot be put on weights that are split over processes (FSDP): average them yourself"
            )
        layers, self._trained = self._trained, set()
        statistics = [
            tensor for layer in layers for tensor in (layer.running_mean, layer.running_var) if tensor is not None
        ]
        grouped: dict[Any, list[tuple[_Entry, Tensor]]] = defaultdict(list)
        for tensor in (*weights, *statistics):
            part = tensor.detach()
            entry = self._entry(tensor, part)
            entry.calls += 1
            if entry.calls <= self._start or not part.is_floating_point():
                continue
            if entry.count:
                grouped[part.dtype, part.device, entry.count].append((entry, part))
            else:
                entry.average.copy_(part)
            entry.count += 1
        for (_, device, count), pairs in grouped.items():
            averages, parts = [entry.average for entry, _ in pairs], [part for _, part in pairs]
            self._averaging(averages, parts, torch.tensor(count, device=device))

    def _entry(self, tensor: Tensor, part: Tensor) -> _Entry:
        if tensor not in self._entries or self._entries[tensor].average.dtype != part.dtype:
            self._entries[tensor] = _Entry(torch.empty_like(part))
        entry: _Entry = self._entries[tensor]
        return entry

    @contextmanager
    def _applied(self, module: nn.Module) -> Iterator[None]:
        """Put the averages into a module that the program calls, if it evaluates it, while the block runs."""
        chosen: list[Tensor] = []
        if torch.is_grad_enabled():
            self.with_gradients |= not module.training
        elif module.training and not torch.is_inference_mode_enabled():
            pass  # it may be a part of training, as the first pass of activation checkpointing is
        else:
            chosen = [tensor for tensor in tensors_of(module) if self._is_averaged(tensor)]
        if not chosen:
            yield
            return
        self.evaluations += 1
        kept = [tensor.detach().clone() for tensor in chosen]
        write_untraced((self._entries[tensor].average for tensor in chosen), chosen)
        try:
            yield
        finally:
            write_untraced(kept, chosen)

    def _is_averaged(self, tensor: Tensor) -> bool:
        return tensor in self._entries and self._entries[tensor].count > 0


def tensors_of(module: nn.Module) -> Iterator[Tensor]:
    """Its parameters and buffers."""
    return chain(module.parameters(), module.buffers())


@torch.no_grad()
def write_untraced(sources: Iterable[Tensor], targets: Iterable[Tensor]) -> None:
    """Copy values unseen by autograd: a forward pass of the training may have kept the targets for its backward pass.

    Args:
        sources: the values.
        targets: as many tensors, of the same shapes.
    """
    for source, target in zip(sources, targets, strict=True):
        target.data.copy_(source)


def _is_sharded(weight: Tensor) -> bool:
    """Whether it is one of FSDP's, of either version, or of tensor parallelism."""
    return is_split(weight) or hasattr(weight, "_is_flat_param") or hasattr(weight, "_fsdp_flattened")
