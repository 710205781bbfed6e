"""The kinked functions of torch, called as their smooth stand-ins: by one model, or by a whole program."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional

from lastbit.remedies.activations import Kinked, hardtanh, leaky_relu, relu, relu6

# Each way to call a kinked function, and what makes its sum of corners; arguments have the names that torch gives them.
FUNCTIONS: Mapping[Any, Callable[..., Kinked]] = {
    **dict.fromkeys((functional.relu, torch.relu, Tensor.relu, torch.relu_, Tensor.relu_, functional.relu_), relu),
    **dict.fromkeys((functional.leaky_relu, functional.leaky_relu_), leaky_relu),
    **dict.fromkeys((functional.hardtanh, functional.hardtanh_), hardtanh),
    functional.relu6: relu6,
}
_ARGUMENTS = {relu: (), leaky_relu: ("negative_slope",), hardtanh: ("min_val", "max_val"), relu6: ()}  # by position
_IN_PLACE = frozenset({torch.relu_, Tensor.relu_, functional.relu_, functional.leaky_relu_, functional.hardtanh_})
_PLACES = (  # where programs find them; modules of torch look there too
    *((torch, name) for name in ("relu", "relu_")),
    *((Tensor, name) for name in ("relu", "relu_")),
    *((functional, name) for name in ("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "hardtanh", "hardtanh_")),
)
_HOLDERS = (nn.Transformer, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)  # of relu as a default argument


def call_smooth(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], to: str, width: float) -> Tensor:
    """The result of the smooth stand-in of a function; in place where the function works in place.

    Args:
        func: a key of `FUNCTIONS`.
        args: as it was called.
        kwargs: likewise.
        to: a name in `lastbit.remedies.activations.ROUNDED`.
        width: over which the slope changes.
    """
    make = FUNCTIONS[func]
    x, *positional = (kwargs["input"], *args) if "input" in kwargs else args
    names = (*_ARGUMENTS[make], "inplace")
    given = {
        **dict(zip(names, positional, strict=False)),
        **{name: kwargs[name] for name in names if name in kwargs},
    }
    inplace = given.pop("inplace", False) or func in _IN_PLACE
    activation = make(**given)
    # Whoever calls it in place may drop what it returns.
    result: Tensor = x.copy_(activation.rounded(x.clone(), to, width)) if inplace else activation.rounded(x, to, width)
    return result


class SmoothFunctions:
    """Stand-ins that take the place of the kinked functions for all of a program.

    Args:
        to: a name in `lastbit.remedies.activations.ROUNDED`.
        width: over which the slope changes.
    """

    def __init__(self, to: str, width: float) -> None:
        self._to, self._width = to, width
        self.has_replaced = False  # whether one was called
        self._kept = {(owner, name): getattr(owner, name) for owner, name in _PLACES}
        self._stand_ins = {place: self._stand_in(function) for place, function in self._kept.items()}

    def put_on(self, refuse: Callable[[str], NoReturn]) -> None:
        """Put them on, until the process ends.

        Args:
            refuse: called with the reason where a model is compiled so that they would not be called.
        """
        _set(self._stand_ins)
        original, of_relu = self._kept[functional, "relu"], self._stand_ins[functional, "relu"]
        for kind in _HOLDERS:
            defaults = kind.__init__.__defaults__ or ()
            kind.__init__.__defaults__ = tuple(of_relu if value is original else value for value in defaults)
        torch.backends.mha.set_fastpath_enabled(False)  # which calls no Python function, and has ReLU of its own
        self._watch_scripting(refuse)

    def _watch_scripting(self, refuse: Callable[[str], NoReturn]) -> None:
        script = torch.jit.script

        @functools.wraps(script)
        def scripted(obj: Any, *args: Any, **kwargs: Any) -> Any:
            """Compile a function as it is; refuse a model."""
            if isinstance(obj, nn.Module):
                refuse(
                    f"the script compiles {type(obj).__name__} by torch.jit.script, and its activations with it: "
                    "they cannot be replaced from outside"
                )
            _set(self._kept)
            try:
                return script(obj, *args, **kwargs)
            finally:
                _set(self._stand_ins)

        torch.jit.script = scripted

    def _stand_in(self, function: Any) -> Any:
        @functools.wraps(function)
        def smooth_function(*args: Any, **kwargs: Any) -> Tensor:
            """Call the stand-in."""
            self.has_replaced = True
            return call_smooth(function, args, kwargs, self._to, self._width)

        return smooth_function


def _set(functions: Mapping[tuple[Any, str], Any]) -> None:
    for (owner, name), function in functions.items():
        setattr(owner, name, function)
