"""Learning rates kept below the edge of stability, from curvature that is tracked along the training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from lastbit.curvature.loss.parameters import of_loss
from lastbit.curvature.tracker import SharpnessTracker
from lastbit.curvature.untouched.undisturbed import evaluation_mode
from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.optimizers.edge import edge_of_stability
from lastbit.optimizers.family import is_stepped, known_step, state_of
from lastbit.remedies.remedy import Remedy, Setting, is_number
from lastbit.samples import Loss

_TOL = 0.05  # of a measured sharpness; a margin is never known better, and it costs a third of the products of 1e-3


@dataclass(frozen=True)
class Cap:
    """The largest learning rate that a parameter group may use, and what it was computed from."""

    step: int  # the optimizer's steps before the measurement
    group: int  # index of the parameter group
    sharpness: float  # of the group's own parameters, preconditioned as the optimizer does
    lr: float  # the cap; infinite where the loss does not curve upwards, or where nothing could be measured


class Capped(Optimizer):
    """An optimizer that steps with learning rates of at most `margin` times what the edge of stability allows.

    The paper proposes to take small steps where the training is unstable, and only there (sections 1 and 7). Every
    `every` steps the sharpness c of each parameter group's own parameters is measured on a batch. The edge of
    stability in c falls with the learning rate, edge(lr) = u / lr - w u / 2 with decoupled weight decay w (u / lr
    without), so that

        lr <= cap = u / (c / margin + w u / 2)

    keeps c at no more than `margin` times the edge. A group steps with the smaller of its own learning rate and its
    cap; the rate in `param_groups` stays what the schedule made it.

    Groups are coupled: each may be below its own edge, and the training above one. With one group there is no such
    gap. To cap layers apart give each a group, and a margin below 1 / (number of groups) to be safe on any loss.

        optimizer = lb.remedies.Capped(torch.optim.SGD(model.parameters(), lr=0.4), model, loss, batch, margin=0.9)

    It is an ordinary optimizer: schedulers, closures, hooks and state dictionaries work. It shares its groups and its
    state with the one inside, which is not to be stepped by itself. Measuring changes nothing of the training.

    Args:
        optimizer: one whose edge is known (`lb.edge_of_stability`).
        model: measured in evaluation mode, with the running statistics of batch norm and without dropout.
        loss: `loss(model(inputs), targets)`, a mean over samples.
        batch: (inputs, targets), or an iterable of such batches that can be read again and again.
        margin: fraction of the edge, above 0 and at most 1.
        every: steps from one measurement to the next.

    Raises:
        LastbitTypeError: the optimizer has no known edge.
        LastbitError: a margin outside (0, 1], or `every` below 1.
    """

    def __init__(
        self, optimizer: Optimizer, model: nn.Module, loss: Loss, batch: Any, *, margin: float = 0.9, every: int = 50
    ) -> None:
        _refuse(margin, every)
        if not isinstance(optimizer, Optimizer):
            raise LastbitTypeError(f"a torch.optim.Optimizer can be capped, got {type(optimizer).__name__}")
        edge_of_stability(optimizer)
        _, self._family = known_step(optimizer)
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.inner, self.margin, self.every = optimizer, margin, every
        self.param_groups, self.state = optimizer.param_groups, optimizer.state
        self.caps: list[Cap] = []  # of all measurements so far
        self._trackers = [_tracker(group, model, loss, batch, optimizer) for group in self.param_groups]
        self._model, self._loss = model, loss
        self._steps = 0

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step with capped rates, after a measurement where one is due.

        Args:
            closure: as the optimizer inside takes it.
        """
        if self._is_due():
            self._measure()
        rates = [group["lr"] for group in self.param_groups]
        for cap in self.latest:
            self.param_groups[cap.group]["lr"] = _lesser(rates[cap.group], cap.lr)
        try:
            return self.inner.step(closure) if closure is not None else self.inner.step()
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate
            self._steps += 1

    @property
    def latest(self) -> list[Cap]:
        """The cap of each parameter group, as last measured; none before the first measurement."""
        return self.caps[-len(self.param_groups) :]  # all groups are measured at once

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As the optimizer inside does."""
        self.inner.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """That of the optimizer inside, with `caps` and the number of steps."""
        caps = [asdict(cap) for cap in self.latest]
        return {**self.inner.state_dict(), "caps": caps, "capped_steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the optimizer inside; the caps go on where they were if the state comes from a capped optimizer."""
        self.inner.load_state_dict(state_dict)
        self.param_groups, self.state = self.inner.param_groups, self.inner.state
        self.caps = [Cap(**cap) for cap in state_dict.get("caps", ())]
        self._steps = state_dict.get("capped_steps", 0)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused once the optimizer is capped: add groups to the optimizer inside before.

        Raises:
            LastbitError: always, but while the optimizer is made.
        """
        if hasattr(self, "inner"):
            raise LastbitError("a capped optimizer takes no more parameter groups: add them before you cap it")
        super().add_param_group(param_group)

    def _measure(self) -> None:
        with evaluation_mode(self._model, self._loss):
            for place, (group, tracker) in enumerate(zip(self.param_groups, self._trackers, strict=True)):
                sharpness = math.nan if tracker is None else tracker.measure().upper
                self.caps.append(Cap(self._steps, place, sharpness, self._cap(group, sharpness)))

    def _cap(self, group: dict[str, Any], sharpness: float) -> float:
        """The cap of the class's formula. A sharpness of NaN, from a training that has diverged, caps nothing."""
        if not sharpness > 0:
            return math.inf
        units, _ = self._family.edge(group, state_of(self.inner, group))
        decay = float(group.get("weight_decay", 0.0)) if self._family.is_decoupled(group) else 0.0
        return units / (sharpness / self.margin + decay * units / 2)

    def _is_due(self) -> bool:
        """Whether to measure before this step; an adaptive optimizer has no preconditioner before its first."""
        if self._family.has("preconditioner") and not any(map(is_stepped, self.inner.state.values())):
            return False
        return not self.caps or self._steps - self.caps[-1].step >= self.every


@dataclass(frozen=True)
class CappedRemedy(Remedy):
    """`Capped` as a plug-in: the recipe's rates, but no more than a share of what the edge of stability allows.

    Attributes:
        margin: that share, above 0 and at most 1.
        every: updates from one measurement of the curvature to the next.

    Raises:
        LastbitError: a margin outside (0, 1], or `every` below 1.
    """

    margin: float = 0.9
    every: int = 50

    name = "capped"
    main = "margin"
    help = "learning rates capped below the edge of stability, from tracked curvature"
    changes = "the learning rate"
    needs = "it measures curvature by the loss on a batch, which a script does not show"
    source = "Sun et al. 2022, arXiv 2206.02001, sections 1 and 7"
    resumes = False  # the state of the tracked curvature is in no checkpoint

    def __post_init__(self) -> None:
        _refuse(self.margin, self.every)

    def on_optimizer(self, optimizer: Optimizer, setting: Setting) -> Optimizer:
        """An optimizer around it, whose curvature is measured on one and the same batch."""
        batch = setting.batch()
        return Capped(optimizer, setting.model, setting.loss, batch, margin=self.margin, every=self.every)


def _refuse(margin: object, every: object) -> None:
    if not is_number(margin) or not 0 < margin <= 1:
        raise LastbitError(f"margin = {margin}: a cap is above 0 and at most 1 times the edge")
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise LastbitError(f"every = {every!r}: measure every 1, 2, 3, ... steps")


def _tracker(
    group: dict[str, Any], model: nn.Module, loss: Loss, batch: Any, optimizer: Optimizer
) -> SharpnessTracker | None:
    """Of the curvature in a group's own parameters; None where none of them is trained."""
    own = set(group["params"])
    named = {**dict(model.named_parameters()), **of_loss(model, loss)}
    chosen = {name: weight for name, weight in named.items() if weight in own and weight.requires_grad}
    return SharpnessTracker(model, loss, batch, tol=_TOL, optimizer=optimizer, parameters=chosen) if chosen else None


def _lesser(rate: Any, cap: float) -> Any:
    """The smaller of the two; a tensor where the rate is one."""
    return rate.clamp(max=cap) if isinstance(rate, Tensor) else min(rate, cap)
