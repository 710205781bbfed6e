"""An average of the weights along the training, evaluated in place of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn, update_bn

from lastbit.errors import LastbitError
from lastbit.remedies.average_outside import AverageOutside, tensors_of, write_untraced
from lastbit.remedies.remedy import Remedy, counted, is_number

STATISTICS = 16  # batches that suffice for the statistics of batch norm
UNIFORM = "uniform"


class Average:
    """The average of a model's weights, w, after each call of `update`.

    With a decay d it is exponential, a <- d a + (1 - d) w, from a = w at the first call (Polyak and Juditsky 1992;
    Morales-Brotons et al. 2024, arXiv 2411.18704). Without one it is uniform, the mean of the weights at all calls
    (stochastic weight averaging, Izmailov et al. 2018). The sums are torch's own (`torch.optim.swa_utils`).

        average = lb.remedies.Average(model, decay=0.999)
        for batch in batches:
            ...
            optimizer.step()
            average.update()
        with average.applied(batches):
            evaluate(model)

    The running statistics of batch norm belong to the weights that made them. `applied` computes them anew for the
    averaged weights from the batches that it is given; without batches it takes the average of the statistics.

    Training goes on as if nothing had been averaged or evaluated: the model's weights and buffers are put back bit for
    bit, and random generators too.

    Args:
        model: in training.
        decay: d, above 0 and below 1; None for the uniform average.
        start: calls of `update` that do not count yet.

    Raises:
        LastbitError: the decay is outside (0, 1), or `start` is no whole number from 0.
    """

    def __init__(self, model: nn.Module, decay: float | None = 0.999, *, start: int = 0) -> None:
        _refuse(decay, start)
        self.model, self.decay, self.start = model, decay, start
        self._calls = 0
        self._averaged = AveragedModel(model, multi_avg_fn=_averaging(decay), use_buffers=True)

    @property
    def updates(self) -> int:
        """How many weights are in the average."""
        return int(self._averaged.n_averaged)

    @property
    def averaged(self) -> nn.Module:
        """A copy of the model with the averaged weights and buffers."""
        averaged: nn.Module = self._averaged.module
        return averaged

    def update(self) -> None:
        """Take the model's present weights into the average; call it after each of the optimizer's steps."""
        self._calls += 1
        if self._calls > self.start:
            self._averaged.update_parameters(self.model)

    @contextmanager
    def applied(self, batches: Iterable[Any] | None = None) -> Iterator[nn.Module]:
        """Put the averaged weights into the model while the block runs.

        Args:
            batches: of the training, from which the statistics of batch norm are computed; each is the inputs, or a
                tuple or list whose first item is.

        Raises:
            LastbitError: there is no average, since `update` has not been called.
        """
        if not self.updates:
            raise LastbitError("there is no average yet: call update() after an optimizer's step")
        kept = [tensor.detach().clone() for tensor in tensors_of(self.model)]
        write_untraced(tensors_of(self._averaged.module), tensors_of(self.model))
        try:
            if batches is not None:
                self._recompute_statistics(batches)
            yield self.model
        finally:
            write_untraced(kept, tensors_of(self.model))

    def state_dict(self) -> dict[str, Any]:
        """The average, for a checkpoint."""
        return {**self._averaged.state_dict(), "calls": self._calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned."""
        self._calls = state["calls"]
        self._averaged.load_state_dict({name: value for name, value in state.items() if name != "calls"})

    def _recompute_statistics(self, batches: Iterable[Any]) -> None:
        modes = {module: module.training for module in self.model.modules()}
        momenta = {module: module.momentum for module in modes if isinstance(module, nn.modules.batchnorm._BatchNorm)}
        others = {tensor.device for tensor in tensors_of(self.model)} - {torch.device("cpu")}
        try:
            # In training mode dropout draws, and must not draw from the training's numbers.
            with torch.random.fork_rng(sorted(others, key=str), device_type=_device_type(others)):
                update_bn(batches, self.model)
        finally:
            for module, training in modes.items():
                module.training = training  # update_bn sets all modules to the mode of the whole
            for module, momentum in momenta.items():
                module.momentum = momentum  # which update_bn leaves behind when a batch fails


@dataclass(frozen=True)
class AverageRemedy(Remedy):
    """`Average` as a plug-in: the average is evaluated in place of the weights.

    Attributes:
        decay: of the exponential average, or `uniform`.
        start: updates before the first whose weights count.

    Raises:
        LastbitError: the decay is outside (0, 1) and not `uniform`, or `start` is no whole number from 0.
    """

    decay: float | str = 0.999
    start: int = 0

    name = "average"
    main = "decay"
    help = "an average of the weights is evaluated in place of them, exponential or uniform"
    changes = "the weights that are evaluated"
    source = "Izmailov et al. 2018, arXiv 1803.05407; Morales-Brotons et al. 2024, arXiv 2411.18704"

    def __post_init__(self) -> None:
        _refuse(self._of_average, self.start)

    @classmethod
    def usual(cls, steps: int) -> Self:
        """Over about the last twentieth of the training, and at most the last thousand updates."""
        share = max(1e-3, min(0.5, 20 / max(1, steps)))
        return cls(decay=float(f"{1 - share:.2g}") if share > 0.01 else float(f"{1 - share:.3g}"))

    @property
    def _of_average(self) -> Any:
        """The decay as `Average` has it."""
        return None if self.decay == UNIFORM else self.decay

    def average(self, model: nn.Module) -> Average:
        """An average of the model's weights, to be updated after each of the optimizer's steps."""
        return Average(model, self._of_average, start=self.start)

    def on_program(self, refuse: Callable[[str], NoReturn]) -> Callable[[], str]:
        """Evaluate the average where the program evaluates, and say how often it did."""
        _OUTSIDE[self] = outside = AverageOutside(_averaging(self._of_average), self.start, refuse)
        outside.put_on()
        return lambda: self._said(outside)

    def on_made(self, optimizer: Optimizer) -> None:
        """Average the weights of the optimizer after each of its steps."""
        _OUTSIDE[self].follow(optimizer)

    def _said(self, outside: AverageOutside) -> str:
        if count := outside.evaluations:
            return (
                f"evaluated averaged weights ({self.label}) in {count} call{'s' * (count > 1)} of a model; "
                "what they saved holds the weights in training"
            )
        if outside.with_gradients:
            return f"called a model in evaluation mode with gradients on alone, as it is: {self.label} changed nothing"
        return f"never called a model after model.eval() and under torch.no_grad(): {self.label} changed nothing"


_OUTSIDE: dict[AverageRemedy, AverageOutside] = {}  # in this process


def _refuse(decay: object, start: object) -> None:
    if decay is not None and not (is_number(decay) and 0 < decay < 1):
        raise LastbitError(f"decay = {decay}: an exponential average has a decay above 0 and below 1")
    counted("average", "start", start, least=0)


def _averaging(decay: float | None) -> Callable[..., None]:
    average = get_swa_multi_avg_fn() if decay is None else get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def averaging(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        """Average tensors of one type; whole numbers, such as batch norm's count of batches, are the latest."""
        if averaged[0].is_floating_point() or averaged[0].is_complex():
            average(averaged, current, count)
        else:
            write_untraced(current, averaged)

    return averaging


def _device_type(devices: set[torch.device]) -> str:
    return next(iter(devices)).type if devices else "cuda"
