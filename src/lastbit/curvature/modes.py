"""What surrounds a measurement in the middle of a training: its modes and its arithmetic."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from lastbit.curvature.state import State


@contextmanager
def evaluation_mode(*roots: object) -> Iterator[None]:
    """Every module that a model or a loss reaches in evaluation mode, and back in its own at the end.

    The flags are set one by one: `train()` and `eval()` may be overridden, as by models that keep their batch
    normalisation frozen.
    """
    modes = [(module, module.training) for module in State(*roots, remember=False).modules]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def plain_arithmetic(device: torch.device) -> Iterator[None]:
    """No autocast, whose rounding would drown a product, and no compiled graphs, which have no second derivative."""
    with ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if "torch._dynamo" in sys.modules:  # importing it takes seconds, and without it nothing is compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield
