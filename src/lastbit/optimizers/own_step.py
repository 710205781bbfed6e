"""Whether an optimizer takes the step of a known class, or a step that something has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Optimizer = torch.optim.Optimizer

# Optimizer's wrapper around `step`, in which it calls the hooks; recognised by its code.
HOOKED_CODE = Optimizer.profile_hook_step(lambda _: None).__code__
# Frameworks whose wrappers take the step of the optimizer inside, as it is.
_FRAMEWORKS = ("accelerate", "lightning", "lightning_fabric", "pytorch_lightning")


def without_wrapper(optimizer: object) -> object:
    """What Accelerate's or Lightning's wrapper holds; anything else as it is."""
    while _is_framework_wrapper(optimizer) and isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    return optimizer


def why_another_step(optimizer: Optimizer, kind: type[Optimizer]) -> str | None:
    """Why an instance of a class does not step as that class does; None if it does.

    A subclass that leaves `step` alone steps as its parent; so does an optimizer for which an lr scheduler has been
    made, and one that lastbit disturbs in the last bit.
    """
    own, torchs = _undisturbed_class(optimizer), getattr(torch.optim, kind.__name__, None) is kind
    parent = f"torch.optim.{kind.__name__}" if torchs else f"{kind.__module__}.{kind.__qualname__}"
    for name in ("step", "_init_group"):
        if _plain(getattr(own, name, None)) is not _plain(getattr(kind, name, None)):
            return f"{own.__qualname__}, which has a {name} of its own and is not {parent}"
    if not _from(_plain(kind.step), tuple(above.__module__.partition(".")[0] for above in kind.__mro__)):
        return f"{parent} whose step a program has replaced"
    replaced = vars(optimizer).get("step")
    if replaced is not None and not _passes_on(replaced, own, type(optimizer)):
        if hasattr(replaced, "_torchdynamo_orig_callable"):
            return f"{own.__qualname__} whose step torch.compile has replaced"
        where = f"{getattr(replaced, '__module__', '?')}.{getattr(replaced, '__qualname__', replaced)}"
        return f"{own.__qualname__} whose step has been replaced by {where}"
    return None


def _undisturbed_class(optimizer: Optimizer) -> type[Optimizer]:
    """The optimizer's class, without the twin that lastbit's noise puts before it (`Perturbed.only_adds_noise`)."""
    line = type(optimizer).__mro__
    marked = [place for place, kind in enumerate(line) if "only_adds_noise" in vars(kind)]
    own: type[Optimizer] = line[marked[-1] + 1] if marked else line[0]
    return own


def _passes_on(step: Any, own: type[Optimizer], disturbed: type[Optimizer]) -> bool:
    """Whether a step put on the object itself ends in its class's: by an lr scheduler, a framework, or as it was."""
    if _from(step, _FRAMEWORKS):
        return True
    if hasattr(step, "_wrapped_by_lr_sched") and _from(step, ("torch",)):
        step = step.__wrapped__
    plain = _plain(getattr(step, "__func__", step))
    return plain is _plain(own.step) or plain is _plain(disturbed.step)


def _plain(function: Any) -> Any:
    """A step without torch's hooks around it."""
    while getattr(function, "__code__", None) is HOOKED_CODE:
        function = function.__wrapped__
    return function


def _from(function: Callable[..., Any], packages: tuple[str, ...]) -> bool:
    """Whether a function was written in one of the packages, whatever it says of itself (`functools.wraps`)."""
    module = getattr(function, "__globals__", {}).get("__name__", "")
    return str(module).partition(".")[0] in packages


def _is_framework_wrapper(optimizer: object) -> bool:
    return any(kind.__module__.partition(".")[0] in _FRAMEWORKS for kind in type(optimizer).__mro__)
