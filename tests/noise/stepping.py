"""Optimizers stepped through made-up gradients, and results compared bit for bit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from lastbit.noise import Scale, perturb

INTEGERS = {
    torch.bfloat16: torch.int16,
    torch.float16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
SHAPES = ((), (1,), (17,), (5, 7), (2, 3, 3, 3), (300,))


@dataclass(frozen=True)
class Course:
    """Parameters in two groups and their gradients for some steps; the same course gives the same numbers."""

    dtype: torch.dtype = torch.float32
    seed: int = 0
    steps: int = 4
    other_group: dict[str, Any] = field(default_factory=dict)  # options of the second group

    def params(self) -> list[torch.nn.Parameter]:
        made = [torch.nn.Parameter(value) for value in self._draw(torch.Generator().manual_seed(self.seed), 0.5)]
        made[4].data = made[4].data.contiguous(memory_format=torch.channels_last)
        return made

    def groups(self, params: list[torch.nn.Parameter]) -> list[dict[str, Any]]:
        return [{"params": params[::2]}, {"params": params[1::2], **self.other_group}]

    def grads(self, step: int) -> list[Tensor | None]:
        """Gradients of one step; one parameter has none at first, so that its step count lags, another none at last."""
        drawn: list[Tensor | None] = list(self._draw(torch.Generator().manual_seed(1000 * self.seed + step + 1), 0.1))
        if step == 0:
            drawn[2] = None
        if step == self.steps - 1:
            drawn[3] = None
        return drawn

    def _draw(self, generator: torch.Generator, scale: float) -> list[Tensor]:
        return [
            (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(self.dtype) for shape in SHAPES
        ]


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


courses = st.builds(
    Course,
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    seed=st.integers(0, 1000),
    other_group=st.fixed_dictionaries({}, optional={"lr": numbers(1e-3, 0.5), "weight_decay": numbers(1e-4, 0.1)}),
)


def walk(
    course: Course,
    optimizer: torch.optim.Optimizer,
    params: list[torch.nn.Parameter],
    *,
    start: int = 0,
    stop: int | None = None,
) -> list[Tensor]:
    """Step through the course, or a part of it; return the parameters and then all of their state."""
    for step in range(start, course.steps if stop is None else stop):
        for param, grad in zip(params, course.grads(step), strict=True):
            param.grad = grad
        optimizer.step()
    return everything(optimizer, params)


def everything(optimizer: torch.optim.Optimizer, params: list[torch.nn.Parameter]) -> list[Tensor]:
    state = [value for param in params for _, value in sorted(optimizer.state[param].items())]
    return [param.detach() for param in params] + state


def walked(course: Course, cls: type[torch.optim.Optimizer], k: int | None = None, **options: Any) -> list[Tensor]:
    """Parameters and state after the course with torch's optimizer, or with its perturbed twin."""
    params = course.params()
    optimizer = cls(course.groups(params), **options)
    return walk(course, optimizer if k is None else perturb(optimizer, Scale(k)), params)


def same_bits(left: list[Tensor], right: list[Tensor]) -> bool:
    """Whether two lists of tensors are equal to the last bit, signs of zero and NaN included."""
    return len(left) == len(right) and all(map(_same, left, right))


def _same(left: Tensor, right: Tensor) -> bool:
    if left.is_complex():
        left, right = torch.view_as_real(left), torch.view_as_real(right)
    return left.dtype == right.dtype and torch.equal(left.view(INTEGERS[left.dtype]), right.view(INTEGERS[right.dtype]))


def separate(a: np.ndarray, alpha: float, b: np.ndarray) -> np.ndarray:
    """`a + alpha * b` in the precision of `a`, product and sum each rounded."""
    return a + a.dtype.type(alpha) * b


def fused(a: np.ndarray, alpha: float, b: np.ndarray) -> np.ndarray:
    """`a + alpha * b` rounded once, the multiply-add of processors that have it, by exact rational arithmetic."""
    factor = Fraction(float(a.dtype.type(alpha)))
    exact = [Fraction(float(x)) + factor * Fraction(float(y)) for x, y in zip(a, b, strict=True)]
    return np.array([float(value) for value in exact]).astype(a.dtype)


MULTIPLY_ADDS: tuple[Callable[[np.ndarray, float, np.ndarray], np.ndarray], ...] = (separate, fused)
