"""The twin of an optimizer with a noise on it: an ordinary optimizer of the same class, whose step has the noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.optimizers.family import HOOKED_CODE, Family, Group, Optimizer, family_of, names_with


class Perturbed(Optimizer):
    """Base of the twins: a torch optimizer that carries its noise through copies and pickles.

    The noise is an attribute and not an option of the parameter groups, so that state dictionaries stay torch's own:
    those of a perturbed optimizer load into torch's, and torch's into a perturbed one.
    """

    noise: Any
    only_adds_noise = True  # for `lastbit.optimizers.family`

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "noise": self.noise}

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        added, own = type(self).__bases__
        return _empty, (added, own), self.__getstate__()

    def __repr__(self) -> str:
        name = type(self).__name__
        return super().__repr__().replace(f"{name} (", f"{name} (\nNoise: {self.noise.label}", 1)


class _Scaling(Protocol):
    """What `Scaled` asks of its noise."""

    @property
    def label(self) -> str:
        """The noise in a word."""

    @property
    def k(self) -> int:
        """The divisor of the direction and the factor of the learning rate."""


class Scaled(Perturbed):
    """Steps by theta <- theta - (lr k) (d / k), as the family of its optimizer defines it."""

    noise: _Scaling
    family: Family

    # A compiler would contract and reorder the operations whose roundings are the point. Torch's own decorator, since
    # `torch.compiler.disable` imports the compiler at once, which takes a second.
    @_disable_dynamo
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; call `closure` first, once, with gradients on, and return its loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            refuse_unsupported(group)  # at each step, for a loaded state dictionary brings its own options
            self.family.step(self, group, self.noise.k)
        return loss


class _Following(Protocol):
    """What `Followed` asks of its noise."""

    @property
    def label(self) -> str:
        """The noise in a word."""

    def prepare(self, groups: list[Group], step: int) -> Callable[[], None]:
        """Look at the weights before a step; return what disturbs them after it."""

    def accompany(self, optimizer: Optimizer) -> None:
        """Do what concerns more than the steps of an optimizer that has come to carry the noise."""


class Followed(Perturbed):
    """Takes its optimizer's own step, whatever it is, and then lets the noise disturb the weights.

    Step hooks run around both, so that a post hook sees the disturbed weights. `noise_steps` counts the steps; with the
    noise itself it is all the state the noise has, kept in copies and pickles, and in state dictionaries under a key
    `noise_steps` of its own beside torch's two, which torch's optimizers ignore.
    """

    noise: _Following
    noise_steps: int = 0

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

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "noise" in state:  # of a copy or a pickle; `load_state_dict` calls this for groups and state alone
            self.noise.accompany(self)

    def _own_step(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError  # each twin has that of its optimizer

    # A compiled step stays compiled; the noise, which reads numbers back from the device, stays out of its graph.
    @_disable_dynamo
    @torch.no_grad()
    def _prepare(self) -> Callable[[], None]:
        return self.noise.prepare(self.param_groups, self.noise_steps)

    @_disable_dynamo
    @torch.no_grad()
    def _finish(self, disturb: Callable[[], None]) -> None:
        disturb()
        self.noise_steps += 1


def scale(optimizer: Optimizer, noise: _Scaling) -> None:
    """Turn an optimizer into its `Scaled` twin where it stands.

    Raises:
        LastbitTypeError: no family defines a step with k for its very class; that of a subclass may be another.
        LastbitError: an option is not supported (`refuse_unsupported`).
    """
    kind = type(optimizer)
    family = family_of(kind)
    if family is None or not family.has("step"):
        raise LastbitTypeError(
            f"k perturbs {names_with('step')} themselves, not {kind.__module__}.{kind.__qualname__}; the noises "
            "ulp and rounding take any"
        )
    for group in optimizer.param_groups:
        refuse_unsupported(group)
    _become(optimizer, Scaled, noise)


def follow(optimizer: Optimizer, noise: _Following) -> None:
    """Turn an optimizer of any class into its `Followed` twin where it stands."""
    _become(optimizer, Followed, noise)
    noise.accompany(optimizer)


def refuse_unsupported(group: Group) -> None:
    """Check the options of a parameter group for a step with k.

    `fused` kernels cannot be matched: torch's CPU ones differ in bits from its other kernels (float32 Adam at lr 0.1:
    in a tenth of the weights after five steps), and no fused kernel takes a divided direction.

    Raises:
        LastbitError: `fused`, `capturable` or `differentiable` is on, an option other than lr is a tensor, or lr
            requires a gradient.
    """
    if group.get("fused"):
        raise LastbitError(
            "fused=True cannot be perturbed: torch's fused kernels round differently from all its others, so k=1 would"
            " not equal torch's optimizer; build the optimizer with fused=False"
        )
    for option in ("capturable", "differentiable"):
        if group.get(option):
            raise LastbitError(f"{option}=True cannot be perturbed; build the optimizer with {option}=False")
    for option, value in group.items():
        if option not in ("params", "lr") and _holds_tensor(value):
            raise LastbitError(f"{option}={value} cannot be perturbed; give {option} as plain numbers, not tensors")
    if isinstance(group["lr"], Tensor) and group["lr"].requires_grad:
        raise LastbitError("an lr tensor that requires grad cannot be perturbed; detach it or give lr as a number")


def _holds_tensor(value: object) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, tuple) and any(isinstance(v, Tensor) for v in value))


def _become(optimizer: Optimizer, added: type[Perturbed], noise: Any) -> None:
    """Turn an optimizer into its twin: groups, state, defaults and hooks stay its own."""
    optimizer.__class__ = _twin(added, type(optimizer))
    optimizer.noise = noise  # type: ignore[attr-defined]
    optimizer._patch_step_function()  # a class's step calls its hooks only once torch has wrapped it


def _twin(added: type[Perturbed], own: type[Any]) -> type[Perturbed]:
    """The class of a twin, made once."""
    if (added, own) not in _TWINS:
        _TWINS[added, own] = _made(added, own)
    return _TWINS[added, own]


_TWINS: dict[tuple[type[Perturbed], type[Any]], type[Perturbed]] = {}


def _made(added: type[Perturbed], own: type[Any]) -> type[Perturbed]:
    names: dict[str, Any] = {"__module__": own.__module__, "__doc__": own.__doc__}
    if added is Scaled:
        names["family"] = family_of(own)
    else:
        # The hooks are the twin's to call, once, so its optimizer's step is taken out of the wrapper that calls them.
        step: Any = own.step
        names["_own_step"] = step.__wrapped__ if getattr(step, "__code__", None) is HOOKED_CODE else step
    return type(f"Perturbed{own.__name__}", (added, own), names)


def _empty(added: type[Perturbed], own: type[Any]) -> Any:
    """An instance that its pickled state then fills."""
    twin = _twin(added, own)
    return twin.__new__(twin)
