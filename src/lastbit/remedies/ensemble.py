"""Several networks trained beside each other, whose mean prediction counts: the ceiling of what averaging can do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.remedies.remedy import Remedy, Setting, counted
from lastbit.samples import Loss

_FIRST_SEED = 2**31  # of the networks beside the first; of a seed torch uses the lower 32 bits on a CPU


class Members(nn.Module):
    """Networks side by side, which are trained on the same batches and give one prediction.

    In training mode it returns the outputs of all networks, one under another: (networks * n, classes) for n samples.
    In evaluation mode it returns the logarithm of the mean of their probabilities, (n, classes), which are logits too.

    Args:
        networks: classifiers that return logits (n, classes).
        evaluated: how many of them, from the first, predict; None for all.
    """

    def __init__(self, networks: Sequence[nn.Module], *, evaluated: int | None = None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.evaluated = len(networks) if evaluated is None else evaluated

    def forward(self, inputs: Any) -> Tensor:
        """All outputs, or in evaluation mode the prediction."""
        if self.training:
            return torch.cat([network(inputs) for network in self.networks])
        outputs = [network(inputs) for network in self.networks[: self.evaluated]]
        if len(outputs) == 1:
            only: Tensor = outputs[0]
            return only
        return torch.stack(outputs).log_softmax(-1).logsumexp(0) - math.log(len(outputs))


def members_of(setting: Setting, count: int, *, evaluated: int | None = None) -> Members:
    """The network of a setting and others of its kind, from other first weights."""
    others = [setting.fresh(_FIRST_SEED + number) for number in range(1, count)]
    members = Members([setting.model, *others], evaluated=evaluated)
    return members.train(setting.model.training)


def sum_of_losses(loss: Loss) -> Loss:
    """The sum of the losses of all networks, so that the gradient of each is what it would be alone.

    Args:
        loss: of outputs (n, classes) and targets (n,).
    """

    def total(outputs: Tensor, targets: Tensor) -> Tensor:
        """Of outputs one under another; in evaluation mode there are those of one network."""
        losses = [loss(each, targets) for each in torch.split(outputs, len(targets))]
        return torch.stack(losses).sum()

    return total


@dataclass(frozen=True)
class EnsembleRemedy(Remedy):
    """Networks from different first weights are trained on the same batches, and their mean probability predicts.

    They share nothing, and each takes the time and the memory of one. The mean of m independent predictions varies by
    1 / sqrt(m) of what one varies, which no remedy of one network can be expected to reach.

    Attributes:
        size: how many networks.

    Raises:
        LastbitError: the size is no whole number from 2.
    """

    size: int = 3

    name = "ensemble"
    main = "size"
    help = "the mean prediction of several networks: the ceiling, at that many times the cost"
    changes = "the prediction"
    needs = "it trains networks beside the script's own"
    source = "Hansen and Salamon 1990; Lakshminarayanan et al. 2017, arXiv 1612.01474"
    excludes = frozenset({"codistil", "distil", "capped"})

    def __post_init__(self) -> None:
        counted(self.name, "size", self.size, least=2)

    def on_setting(self, setting: Setting) -> Setting:
        """All networks as one model, and the sum of their losses."""
        return replace(setting, model=members_of(setting, self.size), loss=sum_of_losses(setting.loss))
