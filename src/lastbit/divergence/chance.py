"""Whether networks draw random numbers as they run, as dropout does: twins then diverge by chance, not by rounding."""

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd


@dataclass(frozen=True)
class Pass:
    """The states of all generators around one forward pass."""

    before: int
    after: int

    @property
    def drew(self) -> bool:
        """Whether a generator moved."""
        return self.before != self.after


@contextmanager
def passes_of(network: nn.Module) -> Iterator[list[Pass]]:
    """Record, while the block runs, whether the network's forward passes move a global generator.

    Seen are torch's generators (of the CPU, and of CUDA where it is in use), Python's and numpy's. Nothing is drawn or
    changed, and all hooks are gone after the block.

    Args:
        network: passes through it, or through a part of it that is called alone, are recorded.
    """
    passes: list[Pass] = []
    begun: list[int] = []  # for each module that is running; only the outermost's state is recorded

    def enter(module: nn.Module, inputs: Any) -> None:
        """Record the state as the outermost module begins."""
        begun.append(0 if begun else _state())

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        """Record the pass as the outermost module ends."""
        before = begun.pop()
        if not begun:
            passes.append(Pass(before, _state()))

    with ExitStack() as stack:
        for module in network.modules():
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave, always_call=True).remove)
        yield passes


def differ_by_chance(passes: Sequence[Pass], others: Sequence[Pass]) -> bool:
    """Whether two networks drew random numbers that are not the same.

    Args:
        passes: of one network.
        others: of the other; equal states before each pass mean equal draws.
    """
    draws, others_draws = ([run.before for run in part if run.drew] for part in (passes, others))
    return draws != others_draws


def drawing_modules(network: nn.Module) -> list[str]:
    """Names of the modules that are known to draw in their present mode."""
    return [
        name or "the network itself" for name, module in network.named_modules() if module.training and _draws(module)
    ]


def _draws(module: nn.Module) -> bool:
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        return module.dropout > 0
    return isinstance(module, nn.RReLU)


def _state() -> int:
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states += torch.cuda.get_rng_state_all()
    numpys: Any = np.random.get_state()  # noqa: NPY002  the global generator is what is watched
    own = numpys[1].tobytes(), numpys[2]
    return hash((*(state.numpy().tobytes() for state in states), random.getstate(), *own))
