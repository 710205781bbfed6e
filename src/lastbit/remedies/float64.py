"""Chosen parts of a training in float64: modules of the model, the loss, or the optimizer's updates."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves, tree_map

from lastbit.errors import LastbitError, did_you_mean, shortened
from lastbit.remedies.remedy import Remedy, Setting
from lastbit.remedies.wide_steps import LOW, WideSteps, put_on_program, said_of_steps

LOSS, UPDATE = "loss", "update"
_NARROW = (torch.float32, *LOW)
_LOSSES = (
    *("cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "ctc_loss"),
    *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "gaussian_nll_loss"),
    *("soft_margin_loss", "margin_ranking_loss", "hinge_embedding_loss", "multi_margin_loss", "multilabel_margin_loss"),
    *("multilabel_soft_margin_loss", "cosine_embedding_loss", "triplet_margin_loss"),
)


def float64(model: nn.Module, pattern: str) -> nn.Module:
    """Let the modules whose names match a pattern hold their weights, and compute, in float64.

    What such a module takes is cast to float64, and what it returns is cast back to the format of its first input. So
    its arithmetic, gradients included, has errors of 1e-16 in place of 6e-8, and its weights are stepped in float64.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
        >>> [weight.dtype for weight in lb.remedies.float64(model, "2").parameters()]
        [torch.float32, torch.float32, torch.float64, torch.float64]
        >>> model(torch.ones(1, 2)).dtype
        torch.float32

    Args:
        model: changed in place, before an optimizer has stepped it.
        pattern: of names as `named_modules` has them, with `*` and `?`. Modules inside of a matching one count to it.

    Returns:
        The model.

    Raises:
        LastbitError: no module matches.

    Warns:
        UserWarning: all matching modules are in float64 already.
    """
    names = [name for name, _ in model.named_modules() if name]
    chosen: list[str] = []
    for name in names:
        if fnmatchcase(name, pattern) and not any(name.startswith(f"{outer}.") for outer in chosen):
            chosen.append(name)
    if not chosen:
        which = did_you_mean(pattern, names) or f"there are {shortened(names, 8)}"
        raise LastbitError(f"float64 = {pattern}: the model has no such module: {which}")
    modules = [model.get_submodule(name) for name in chosen]
    weights = [weight for module in modules for weight in module.parameters()]
    if weights and all(weight.dtype == torch.float64 for weight in weights):
        warnings.warn(f"nothing was changed to float64: {pattern} is in float64 already", stacklevel=2)
    for module in modules:
        module.double()
        _Cast().put_on(module)
    return model


def float64_updates(optimizer: Optimizer) -> Optimizer:
    """Let an optimizer compute in float64, with its state in float64, and round each weight once, at the end of a step.

    Args:
        optimizer: of any class, changed in place.

    Returns:
        The optimizer.
    """
    return WideSteps(torch.float64, _NARROW).put_on(optimizer)


class _Cast:
    """Casts what goes into a module and what comes out of it."""

    def __init__(self) -> None:
        self._formats: list[torch.dtype | None] = []  # of the inputs of the calls that are running

    def put_on(self, module: nn.Module) -> None:
        """Cast around each of its calls."""
        module.register_forward_pre_hook(self._before, with_kwargs=True)
        module.register_forward_hook(self._after, always_call=True)

    def _before(self, module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        self._formats.append(_format_of((args, kwargs)))
        return _cast((args, kwargs), torch.float64)  # type: ignore[no-any-return]

    def _after(self, module: nn.Module, args: Any, output: Any) -> Any:
        dtype = self._formats.pop()
        return output if dtype is None else _cast(output, dtype)


def _format_of(given: Any) -> torch.dtype | None:
    return next((leaf.dtype for leaf in tree_leaves(given) if _is_real(leaf)), None)


def _cast(given: Any, dtype: torch.dtype) -> Any:
    return tree_map(lambda leaf: leaf.to(dtype) if _is_real(leaf) else leaf, given)


def _is_real(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def float64_loss(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss that is computed in float64, its gradient too, and then cast to the format of its first argument.

    Args:
        loss: of tensors.
    """

    @functools.wraps(loss)
    def wide(*args: Any, **kwargs: Any) -> Tensor:
        """The loss of the arguments in float64."""
        dtype = _format_of((args, kwargs))
        args, kwargs = _cast((args, kwargs), torch.float64)
        value = loss(*args, **kwargs)
        return value if dtype is None else value.to(dtype)

    return wide


@dataclass(frozen=True)
class Float64Remedy(Remedy):
    """Parts of a training in float64.

    Attributes:
        parts: `loss`, `update`, or a pattern of modules' names, such as `blocks.0*`; several joined by `/`.

    Raises:
        LastbitError: a part is empty.
    """

    parts: str = UPDATE

    name = "float64"
    main = "parts"
    help = "chosen modules, the loss or the update are computed in float64"
    changes = "the rounding of a part"
    source = "Sun et al. 2022, arXiv 2206.02001, section 4"
    excludes = frozenset({"compensated", "stochastic_rounding", "capped"})

    def __post_init__(self) -> None:
        if not isinstance(self.parts, str) or not all(self._parts):
            raise LastbitError(f"float64 = {self.parts!r}: write loss, update or a module's name, joined by /")

    @property
    def _parts(self) -> list[str]:
        return str(self.parts).split("/")

    @property
    def _modules(self) -> list[str]:
        return [part for part in self._parts if part not in (LOSS, UPDATE)]

    @property
    def hides(self) -> frozenset[str]:
        """The paper's k, where it acts in an update in float64."""
        return frozenset({"scale"} if UPDATE in self._parts else ())

    def on_model(self, model: nn.Module) -> nn.Module:
        """The model with its matching modules in float64."""
        for pattern in self._modules:
            float64(model, pattern)
        return model

    def on_setting(self, setting: Setting) -> Setting:
        """The loss in float64."""
        return replace(setting, loss=float64_loss(setting.loss)) if LOSS in self._parts else setting

    def on_optimizer(self, optimizer: Optimizer, setting: Setting) -> Optimizer:
        """The optimizer with updates in float64."""
        if UPDATE not in self._parts:
            return optimizer
        if all(weight.dtype == torch.float64 for group in optimizer.param_groups for weight in group["params"]):
            warnings.warn("no update was changed to float64: all weights are in float64 already", stacklevel=2)
        return float64_updates(optimizer)

    def on_program(self, refuse: Callable[[str], NoReturn]) -> Callable[[], str]:
        """Let the losses of `torch.nn.functional`, and the modules that call them, compute in float64."""
        called: set[str] = set()
        for name in _LOSSES if LOSS in self._parts else ():
            setattr(functional, name, _noted(float64_loss(getattr(functional, name)), called))

        def said() -> str:
            """What found nothing to change."""
            if LOSS in self._parts and not called:
                return f"called no loss of torch.nn.functional: {self.label} changed nothing there"
            return said_of_steps(self) if UPDATE in self._parts else ""

        return said

    def on_made(self, optimizer: Optimizer) -> None:
        """Let an optimizer that a script has made compute in float64."""
        if UPDATE in self._parts:
            put_on_program(self, WideSteps(torch.float64, _NARROW), optimizer)

    def unfit_for_scripts(self) -> str:
        """That modules go by their names in a model."""
        if not self._modules:
            return ""
        return (
            f"{self._modules[0]} goes by the modules of a model, which a script does not show; loss and update do not"
        )


def _noted(function: Callable[..., Tensor], called: set[str]) -> Callable[..., Tensor]:
    @functools.wraps(function)
    def noted(*args: Any, **kwargs: Any) -> Tensor:
        """Call it, and note that it was."""
        called.add(function.__name__)
        return function(*args, **kwargs)

    return noted
