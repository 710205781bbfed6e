"""Which of many rare trials succeed, at a cost of the successes alone."""

from itertools import accumulate
from math import sqrt

import torch
from torch import Tensor


def successes(trials: int, p: float, generator: torch.Generator) -> Tensor:
    """Numbers of the successful ones of so many independent trials of probability p.

    Their distances are geometrically distributed and are drawn instead of the trials, so that a p of a hundredth costs
    a hundredth.

    Args:
        trials: their number.
        p: above 0, at most 1.
        generator: decides the device too.

    Returns:
        int64 (successes,), ascending from 0, below `trials`.
    """
    if p == 1:
        return torch.arange(trials, device=generator.device)
    # Six standard deviations above the mean: practically always enough, and where it is not more are drawn.
    draws = int(trials * p + 6 * sqrt(trials * p * (1 - p))) + 16
    found, last = [], -1
    while last < trials:
        distances = torch.empty(draws, dtype=torch.float64, device=generator.device)
        distances.geometric_(p, generator=generator).clamp_(max=trials + 1)  # a tiny p makes distances without end
        found.append(distances.long().cumsum_(0).add_(last))
        last = int(found[-1][-1])
    numbers = torch.cat(found)
    return numbers[: int(torch.searchsorted(numbers, trials))]


def successes_by_part(sizes: list[int], p: float, generator: torch.Generator) -> list[Tensor]:
    """The same for trials in consecutive parts of these sizes; each part's successes, counted from its own 0."""
    ends = list(accumulate(sizes))
    numbers = successes(ends[-1], p, generator)
    bounds = torch.searchsorted(numbers, torch.tensor(ends, device=numbers.device)).tolist()
    counts = [end - start for start, end in zip([0, *bounds], bounds, strict=False)]
    starts = [0, *ends]
    return [part - start for part, start in zip(torch.split(numbers, counts), starts, strict=False)]
