"""Kinked activations replaced by smooth ones, as modules and as functions that a model calls."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from lastbit.errors import LastbitError, did_you_mean, shortened
from lastbit.remedies.activations import ROUNDED, Rounded, RoundedMaxPool2d, kinked
from lastbit.remedies.functions import FUNCTIONS, SmoothFunctions, call_smooth
from lastbit.remedies.own_code import may_call
from lastbit.remedies.remedy import Remedy, is_number

_CALLING = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
_NAMES = frozenset(function.__name__ for function in FUNCTIONS)
_NOTHING = "no kinked activation was replaced"


def smooth(
    model: nn.Module,
    to: str = "silu",
    *,
    width: float = 1.0,
    first: str | None = None,
    last: str | None = None,
    max_pool: bool = False,
) -> nn.Module:
    """Replace the kinked activations of a model by smooth ones, in place.

    At a kink two runs that differ in the last bit may fall on different sides, where the slopes differ: there a
    difference of rounding becomes one of the training. A smooth activation has no sides.

    Modules (ReLU, LeakyReLU, ReLU6, Hardtanh) are replaced. Where the model has code of its own, the same functions of
    torch, called while the model runs, are replaced too: `relu`, `leaky_relu`, `relu6`, `hardtanh`, as functions and as
    methods of tensors. Weights and the names of weights stay. A module that worked in place no longer does.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
        >>> lb.remedies.smooth(model, "smelu", width=0.5)[1]
        Rounded(ReLU -> smelu, width=0.5)

    Args:
        model: before `torch.compile`, and before an optimizer is made for it or after.
        to: `silu`, `gelu`, `smelu` or `softplus`; see `lastbit.remedies.activations`.
        width: over which the slope changes, in units of the activation's input.
        first: name of the first module, as `named_modules` has it, whose activations are replaced.
        last: name of the last one.
        max_pool: replace `MaxPool2d` by a soft maximum of the same width too.

    Returns:
        The model; another object only where the model itself is an activation.

    Raises:
        LastbitError: an unknown smooth activation or module, a width that is not positive and finite, or a model that
            is compiled already.

    Warns:
        UserWarning: nothing was replaced.
    """
    _refuse(model, to, width)
    chosen = _in_range(model, first, last)
    replaced: dict[nn.Module, nn.Module] = {}
    for module in chosen:
        stand_in = _stand_in(module, to, width, max_pool=max_pool)
        if stand_in is not None:
            replaced[module] = _with_hooks_of(module, stand_in)
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in replaced:
                parent._modules[name] = replaced[child]
    calling = [module for module in chosen if _calls_functions(module)]
    if any(_may_call_functions(module) for module in calling):
        _Functions(model, calling, to, width, is_replaced=bool(replaced))
    elif not replaced:
        warnings.warn(f"{_NOTHING}: the model has no ReLU, LeakyReLU, ReLU6 or Hardtanh", stacklevel=2)
    return replaced.get(model, model)


@dataclass(frozen=True)
class SmoothRemedy(Remedy):
    """`smooth` as a plug-in, with its options.

    Raises:
        LastbitError: an unknown smooth activation, or a width that is not positive and finite.
    """

    to: str = "silu"
    width: float = 1.0
    first: str | None = None
    last: str | None = None
    max_pool: bool = False

    name = "smooth"
    main = "to"
    help = "kinked activations replaced by smooth ones: silu, gelu, smelu or softplus"
    changes = "the activations"
    source = "Shamir et al. 2020, arXiv 2010.09931; Sun et al. 2022, arXiv 2206.02001, section 5.1"

    def __post_init__(self) -> None:
        _refuse_options(self.to, self.width)

    def on_model(self, model: nn.Module) -> nn.Module:
        """The model with smooth activations, or as it is and a warning where there are no kinked ones."""
        return smooth(model, self.to, width=self.width, first=self.first, last=self.last, max_pool=self.max_pool)

    def on_program(self, refuse: Callable[[str], NoReturn]) -> Callable[[], str]:
        """Replace what all modules of the program, and its own code, call."""
        functions = SmoothFunctions(self.to, self.width)
        functions.put_on(refuse)
        return lambda: (
            "" if functions.has_replaced else f"called no activation that {self.label} replaces: it changed nothing"
        )

    def unfit_for_scripts(self) -> str:
        """That options which go by the modules of a model need the model."""
        options = [name for name in ("first", "last", "max_pool") if name in self.options()]
        return f"{options[0]} goes by the modules of a model, which a script does not show" if options else ""


def _refuse_options(to: object, width: object) -> None:
    if not isinstance(to, str) or to not in ROUNDED:
        which = did_you_mean(to, ROUNDED) or f"allowed are {', '.join(ROUNDED)}"
        raise LastbitError(f"there is no smooth activation {to!r}: {which}")
    if not is_number(width) or not 0 < width < math.inf:
        raise LastbitError(f"width = {width}: the slope changes over a positive, finite width")


def _refuse(model: nn.Module, to: str, width: float) -> None:
    _refuse_options(to, width)
    if any(
        type(part).__name__ == "OptimizedModule" or isinstance(part, torch.jit.ScriptModule) for part in model.modules()
    ):
        raise LastbitError("the model is compiled, and its activations with it: smooth it before torch.compile")
    if any("_functions_replaced" in vars(part) for part in model.modules()):
        raise LastbitError("the model is smoothed already, and another width or function would not show: make it anew")


def _in_range(model: nn.Module, first: str | None, last: str | None) -> list[nn.Module]:
    """The modules from `first` to the last one inside of `last`, in the order of `named_modules`."""
    names = [name for name, _ in model.named_modules()]
    for name in (first, last):
        if name is not None and name not in names:
            which = did_you_mean(name, names) or f"there are {shortened(names[1:], 8)}"
            raise LastbitError(f"the model has no module {name!r}: {which}")
    begin = 0 if first is None else names.index(first)
    inside = [place for place, name in enumerate(names) if last is None or f"{name}.".startswith(f"{last}.")]
    end = inside[-1]
    if begin > end:
        raise LastbitError(
            f"first = {first!r} comes after last = {last!r}: modules count in the order of named_modules"
        )
    return [module for place, (_, module) in enumerate(model.named_modules()) if begin <= place <= end]


def _stand_in(module: nn.Module, to: str, width: float, *, max_pool: bool) -> nn.Module | None:
    if max_pool and type(module) is nn.MaxPool2d and not module.return_indices:
        return RoundedMaxPool2d(module, width)
    activation = kinked(module)
    return None if activation is None else Rounded(activation, to, width)


def _with_hooks_of(module: nn.Module, stand_in: nn.Module) -> nn.Module:
    """The stand-in in the same mode and with the same hooks, which somebody put there for a reason."""
    hooks = {name: value for name, value in vars(module).items() if "_hooks" in name}
    vars(stand_in).update(hooks)
    return stand_in.train(module.training)


def _calls_functions(module: nn.Module) -> bool:
    """Whether it has code of its own; of torch's modules that are no activations, only transformers call functions."""
    return not type(module).__module__.startswith("torch.nn.modules.") or isinstance(module, _CALLING)


def _may_call_functions(module: nn.Module) -> bool:
    """Whether its code may call one that is replaced: watching costs some microseconds for each operation."""
    return isinstance(module, _CALLING) or may_call(module, _NAMES)


class _Functions:
    """Replaces what a model's own code calls, while the model runs.

    Every module with code of its own enters the mode, not only the model: activation checkpointing calls them again
    during the backward pass. A function belongs to the innermost such module that is running.
    """

    def __init__(self, model: nn.Module, calling: list[nn.Module], to: str, width: float, *, is_replaced: bool) -> None:
        self._mode = _Replacing(to, width)
        self._calling, self._is_silent = set(calling), is_replaced
        for module in model.modules():
            if _calls_functions(module) or module is model:
                vars(module)["_functions_replaced"] = self
                module.register_forward_pre_hook(self._enter, prepend=True)
                module.register_forward_hook(self._leave, always_call=True)
        self._model = model

    def _enter(self, module: nn.Module, _: Any) -> None:
        self._mode.running.append(module in self._calling)
        if len(self._mode.running) == 1:
            self._mode.__enter__()  # type: ignore[no-untyped-call]

    def _leave(self, module: nn.Module, _: Any, output: Any) -> None:
        self._mode.running.pop()
        if not self._mode.running:
            self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        failed = output is None
        if module is self._model and not (failed or self._is_silent or self._mode.has_replaced):
            self._is_silent = True  # say it once
            warnings.warn(f"{_NOTHING}: the model called no relu, leaky_relu, relu6 or hardtanh", stacklevel=2)


class _Replacing(TorchFunctionMode):
    """Replaces the kinked functions of torch by smooth ones, where the innermost running module is a chosen one."""

    def __init__(self, to: str, width: float) -> None:
        super().__init__()
        self._to, self._width = to, width
        self.running: list[bool] = []  # for the modules that are running, whether they are chosen
        self.has_replaced = False  # whether a function was replaced

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function, or its stand-in."""
        kwargs = kwargs or {}
        if func not in FUNCTIONS or not self.running[-1]:
            return func(*args, **kwargs)
        self.has_replaced = True
        return call_smooth(func, args, kwargs, self._to, self._width)
