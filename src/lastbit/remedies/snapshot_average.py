"""Predictions averaged over the last states of one training."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from torch import nn

from lastbit.remedies.ensemble import Members
from lastbit.remedies.remedy import Remedy, counted


class SnapshotAverage:
    """The mean prediction of a model as it was at its last few snapshots.

        average = lb.remedies.SnapshotAverage(model, last=5, every=100)
        for batch in batches:
            ...
            optimizer.step()
            average.update()
        with average.applied() as predictor:
            evaluate(predictor)

    A snapshot is a copy of the whole model, statistics of batch norm included. The prediction is the mean of the
    probabilities that the snapshots give, as logits (`lb.remedies.Members`). It costs as many evaluations as there are
    snapshots, and training goes on as without it.

    Args:
        model: a classifier in training, which returns logits.
        last: snapshots that count.
        every: calls of `update` from one to the next.

    Raises:
        LastbitError: `last` or `every` is no whole number from 1.
    """

    def __init__(self, model: nn.Module, *, last: int = 5, every: int = 100) -> None:
        counted("snapshots", "last", last)
        counted("snapshots", "every", every)
        self.model, self.last, self.every = model, last, every
        self._calls = 0
        self._kept: deque[nn.Module] = deque(maxlen=last)

    @property
    def updates(self) -> int:
        """How many snapshots there are."""
        return len(self._kept)

    @property
    def averaged(self) -> nn.Module:
        """The model: no weights stand for a mean of predictions."""
        return self.model

    def update(self) -> None:
        """Count a step of the optimizer, and take a snapshot where it is due."""
        self._calls += 1
        if self._calls % self.every == 0:
            self._kept.append(copy.deepcopy(self.model).requires_grad_(False))

    @contextmanager
    def applied(self, batches: Iterable[Any] | None = None) -> Iterator[nn.Module]:
        """Give what predicts, in evaluation mode; before the first snapshot that is the model itself.

        Args:
            batches: as `lb.remedies.Average` takes them; a snapshot has the statistics of its own time.
        """
        yield Members(list(self._kept)).eval() if self._kept else self.model

    def state_dict(self) -> dict[str, Any]:
        """The snapshots, for a checkpoint."""
        return {"calls": self._calls, "kept": [dict(network.state_dict()) for network in self._kept]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned."""
        self._calls = state["calls"]
        self._kept.clear()
        for kept in state["kept"]:
            network = copy.deepcopy(self.model).requires_grad_(False)
            network.load_state_dict(kept)
            self._kept.append(network)


@dataclass(frozen=True)
class SnapshotsRemedy(Remedy):
    """`SnapshotAverage` as a plug-in.

    Attributes:
        last: snapshots whose predictions are averaged.
        every: updates from one to the next; `lastbit remedy` tries a twentieth of the training.

    Raises:
        LastbitError: `last` or `every` is no whole number from 1.
    """

    last: int = 5
    every: int = 100

    name = "snapshots"
    main = "last"
    help = "predictions are averaged over the last snapshots of the training"
    changes = "the prediction"
    needs = "a script does not show how the outputs of its model are to be averaged"
    source = "Huang et al. 2017, arXiv 1704.00109"
    excludes = frozenset({"average"})

    def __post_init__(self) -> None:
        counted(self.name, "last", self.last)
        counted(self.name, "every", self.every)

    @classmethod
    def usual(cls, steps: int) -> Self:
        """The last quarter of the training."""
        return cls(every=max(1, round(steps / 20)))

    def average(self, model: nn.Module) -> SnapshotAverage:
        """The mean over the model's snapshots."""
        return SnapshotAverage(model, last=self.last, every=self.every)
