"""A small training with rows to hand to sinks."""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import lastbit as lb
from lastbit.curvature import SharpnessRow
from lastbit.curvature.monitor import Sink

BATCH = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3


def train(*sinks: Sink, scale: float = 1) -> tuple[SharpnessRow, ...]:
    """Three rows with two eigenvalues each; the last is a diverged one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with lb.SharpnessMonitor(model, cross_entropy, BATCH, optimizer, lb.every(2), sinks=sinks, k=2) as monitor:
        for step in range(6):
            optimizer.zero_grad()
            (scale * cross_entropy(model(BATCH[0]), BATCH[1])).backward()
            if step == 4:
                model[0].bias.data[0] = math.nan
            optimizer.step()
    return monitor.rows
