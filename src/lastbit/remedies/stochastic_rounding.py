"""Updates of bfloat16 and half weights rounded at random, so that their mean is the update that was not rounded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.optim import Optimizer

from lastbit.remedies.remedy import Remedy, Setting, counted
from lastbit.remedies.wide_steps import LOW, NO_LOW_WEIGHTS, WideSteps, has_low_weights, put_on_program, said_of_steps
from lastbit.tensors import local


def stochastic_rounding(optimizer: Optimizer, seed: int = 0) -> Optimizer:
    """Let an optimizer round its bfloat16 and half weights at random after each step.

    The optimizer steps in float32, to v. Let a <= v <= b be the nearest numbers of the weight's format. The weight
    becomes b with probability (v - a) / (b - a), else a: its expectation is v, so that updates below half of b - a are
    not lost, but taken now and then. The draws depend on the seed and on nothing else. Weights of other formats are
    stepped as they are; the optimizer's state is in float32.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(1000, dtype=torch.bfloat16))
        >>> optimizer = lb.remedies.stochastic_rounding(torch.optim.SGD([weight], lr=0.001))
        >>> weight.grad = torch.ones_like(weight)
        >>> optimizer.step()
        >>> sorted(set(weight.tolist())), round(weight.float().mean().item(), 3)
        ([0.99609375, 1.0], 0.999)

    Args:
        optimizer: of any class, changed in place; state dictionaries have the state of the draws under `rounding`.
        seed: of the draws.

    Returns:
        The optimizer.

    Raises:
        LastbitError: the seed is no whole number from 0.
    """
    return _RoundedSteps(seed).put_on(optimizer)


def rounded_at_random(values: Tensor, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Each value as one of the two nearest numbers of a format, so that the expectation is the value.

    Args:
        values: float32, of any shape. Those that the format rounds to infinity, and NaN, are rounded as torch does.
        dtype: bfloat16 or float16.
        generator: on the device of the values; a number is drawn for each.
    """
    nearest = values.to(dtype)
    # Below the sign lies the magnitude, so that 1 less and 1 more are the next numbers towards 0 and away from it.
    inner = nearest.view(torch.int16) - (nearest.abs() > values.abs()).to(torch.int16)
    low, high = inner.view(dtype).float(), (inner + 1).view(dtype).float()
    share = (values - low) / (high - low)
    # 24 bits are drawn. A share has up to 16 of bfloat16, and up to 13 of the normal numbers of half.
    drawn = torch.rand(values.shape, generator=generator, device=values.device)
    chosen = inner + (drawn < share).to(torch.int16)
    return torch.where(nearest.isfinite(), chosen.view(dtype), nearest)


class _RoundedSteps(WideSteps):
    def __init__(self, seed: int) -> None:
        counted("stochastic_rounding", "seed", seed, least=0)
        super().__init__(torch.float32, LOW)
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def write(self, weight: Tensor, value: Tensor) -> None:
        """Round at random."""
        part = local(value).detach()
        local(weight).copy_(rounded_at_random(part, weight.dtype, self._generator(part.device)))

    def state(self, weights: list[Tensor]) -> Mapping[str, Any]:
        """The state of the draws of each device."""
        return {"rounding": {str(device): each.get_state() for device, each in self._generators.items()}}

    def load(self, weights: list[Tensor], state: Mapping[str, Any]) -> None:
        """Go on with the draws of a checkpoint."""
        for device, kept in state.get("rounding", {}).items():
            self._generator(torch.device(device)).set_state(kept.cpu())

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]


@dataclass(frozen=True)
class StochasticRoundingRemedy(Remedy):
    """`stochastic_rounding` as a plug-in.

    Attributes:
        seed: of the draws, the same in every run.

    Raises:
        LastbitError: the seed is no whole number from 0.
    """

    seed: int = 0

    name = "stochastic_rounding"
    help = "bfloat16 and half weights are rounded at random, without bias, after each update"
    changes = "the rounding of updates"
    source = "Gupta et al. 2015, arXiv 1502.02551; Zamirai et al. 2020, arXiv 2010.06192"
    excludes = frozenset({"compensated", "capped"})

    def __post_init__(self) -> None:
        counted(self.name, "seed", self.seed, least=0)

    @property
    def hides(self) -> frozenset[str]:
        """The paper's k, which then acts in float32."""
        return frozenset({"scale"})

    def on_optimizer(self, optimizer: Optimizer, setting: Setting) -> Optimizer:
        """The optimizer with random rounding, and a warning where no weight is of few bits."""
        if not has_low_weights(optimizer):
            warnings.warn(f"no update was rounded at random: {NO_LOW_WEIGHTS}", stacklevel=2)
        return stochastic_rounding(optimizer, self.seed)

    def on_program(self, refuse: Callable[[str], NoReturn]) -> Callable[[], str]:
        """Say in the end where there was nothing to round."""
        return lambda: said_of_steps(self)

    def on_made(self, optimizer: Optimizer) -> None:
        """Round at random what an optimizer of a script has made of its weights."""
        put_on_program(self, _RoundedSteps(self.seed), optimizer)
