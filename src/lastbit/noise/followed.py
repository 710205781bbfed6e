"""A twin of any optimizer, torch's or a user's, whose every step is followed by a noise."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import torch
from torch._compile import _disable_dynamo

from lastbit.noise.of_optimizers import OptimizerNoise
from lastbit.noise.perturbed import Perturbed, become
from lastbit.noise.weights import Groups, disturbable
from lastbit.steps import HOOKED_CODE


class Following(OptimizerNoise, ABC):
    """Base of the noises that look at the weights before an update and disturb them after it."""

    @property
    @abstractmethod
    def label(self) -> str:
        """The noise in a word."""

    @abstractmethod
    def prepare(self, groups: Groups, step: int) -> Callable[[], None]:
        """Look at the weights before an update, the `step`-th from 0; return what is to be done right after it."""

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Let every step of the optimizer, whatever its class, be followed by the noise, in place.

        Raises:
            LastbitError: a parameter is no plain dense tensor.
        """
        disturbable(optimizer.param_groups)
        become(optimizer, _twin(cast(Any, type(optimizer))), self)
        cast(Followed, optimizer).noise_steps = 0


def nothing() -> None:
    """What is to be done after an update that no noise follows."""


class Followed(Perturbed):
    """A twin of an optimizer of any class: a step is the optimizer's own, whatever it is, and then the noise.

    Step hooks run around both, so that a post hook sees the disturbed weights. `noise_steps` counts the steps; with the
    noise itself it is all the state the noise has, kept in copies and pickles, and in state dictionaries under a key
    `noise_steps` of its own beside torch's two, which torch's optimizers ignore.
    """

    noise: Following
    noise_steps: int

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """Take the optimizer's own step, then disturb the weights."""
        disturb = self._prepare()
        result = self._own_step(*args, **kwargs)
        self._finish(disturb)
        return result

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's own, and `noise_steps`."""
        return {**super().state_dict(), "noise_steps": self.noise_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the optimizer's own; the noise goes on where it was if it comes from a disturbed optimizer."""
        super().load_state_dict(state_dict)
        self.noise_steps = state_dict.get("noise_steps", self.noise_steps)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "noise_steps": self.noise_steps}

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _empty, (type(self).__bases__[1],), self.__getstate__()

    def _own_step(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError  # each twin has that of its optimizer

    # A compiled step stays compiled; the noise, which reads numbers back from the device, stays out of its graph.
    # Torch's own decorator, since `torch.compiler.disable` imports the compiler at once, which takes a second.
    @_disable_dynamo
    @torch.no_grad()
    def _prepare(self) -> Callable[[], None]:
        return self.noise.prepare(self.param_groups, self.noise_steps)

    @_disable_dynamo
    @torch.no_grad()
    def _finish(self, disturb: Callable[[], None]) -> None:
        disturb()
        self.noise_steps += 1


@functools.cache
def _twin(own: type[Any]) -> type[Followed]:
    # The hooks are the twin's to call, once, so its optimizer's step is taken out of the wrapper that calls them.
    step: Any = own.step
    bare = step.__wrapped__ if getattr(step, "__code__", None) is HOOKED_CODE else step
    names = {"__module__": own.__module__, "__doc__": own.__doc__, "_own_step": bare}
    return type(f"Perturbed{own.__name__}", (Followed, own), names)


def _empty(own: Any) -> Followed:
    """An instance that its pickled state then fills."""
    twin = _twin(own)
    return twin.__new__(twin)
