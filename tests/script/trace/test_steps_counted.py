"""Which optimizer steps count: each outermost one that comes to its end, whatever raised before."""

import sys

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from lastbit.script.trace.origins import steps_inside_another


class Outer(Optimizer):
    """An optimizer that has another do its work, as ZeRO's."""

    def __init__(self, inner):
        super().__init__(inner.param_groups[0]["params"], {})
        self.inner = inner

    def step(self, closure=None):
        """Take a step."""
        return self.inner.step(closure)


def fails():
    """Be the closure of a step that raises."""
    raise ValueError


def test_outermost_steps_count_also_after_one_that_raised():
    inner, other = (SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1) for _ in range(2))
    outer, ended = Outer(inner), []
    hook = register_optimizer_step_post_hook(lambda o, *_: ended.append((o, steps_inside_another(sys._getframe(1)))))
    try:
        outer.step()
        for optimizer in (inner, outer):
            with pytest.raises(ValueError):  # noqa: PT011 - its own
                optimizer.step(fails)
        other.step()
        outer.step()
        inner.step()
    finally:
        hook.remove()
    assert ended == [(inner, True), (outer, False), (other, False), (inner, True), (outer, False), (inner, False)]
