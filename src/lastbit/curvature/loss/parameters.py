"""The parameters that a curvature is taken in, by name and as one flat vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.optimizers.family import Optimizer

Choice = str | Sequence[str] | Mapping[str, nn.Parameter]  # glob patterns of names, or the parameters themselves


def of_loss(model: nn.Module, loss: object) -> dict[str, nn.Parameter]:
    """The parameters that a loss module has beside the model's, by names that begin with `loss.`."""
    if not isinstance(loss, nn.Module):
        return {}
    own = dict(model.named_parameters())
    prefix = "(loss)." if any(name.startswith("loss.") for name in own) else "loss."
    shared = set(own.values())
    return {prefix + name: parameter for name, parameter in loss.named_parameters() if parameter not in shared}


def chosen(model: nn.Module, patterns: Choice, loss: object = None) -> dict[str, nn.Parameter]:
    """The parameters that require a gradient and whose name matches one of the glob patterns, in the model's order.

    Those of a loss module follow. Parameters that have been chosen already stay as they are.

    Raises:
        LastbitTypeError: the model is no `nn.Module`, or TorchScript's.
        LastbitError: a pattern matches none, or a complex parameter; a lazy module has no shape yet.
    """
    if not isinstance(model, nn.Module):
        raise LastbitTypeError(f"model is a {type(model).__name__}; give a torch.nn.Module")
    _refuse_unmeasurable(model, "model")
    if isinstance(loss, nn.Module):
        _refuse_unmeasurable(loss, "loss")
    all_of_them = {**dict(model.named_parameters()), **of_loss(model, loss)}
    trainable = {name: parameter for name, parameter in all_of_them.items() if parameter.requires_grad}
    if not trainable:
        raise LastbitError("the model has no parameter that requires a gradient, so its loss has no Hessian")
    if isinstance(patterns, Mapping):
        return dict(patterns)
    patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in trainable):
            raise LastbitError(
                f"parameters={pattern!r} matches no trainable parameter; there are {_listing(trainable)}"
            )
    matches = {name: p for name, p in trainable.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
    for name, parameter in matches.items():
        if parameter.is_complex():
            raise LastbitError(
                f"parameter {name} is complex, and curvature is that of real parameters; keep it as a real tensor "
                "whose last dimension is 2, and make it complex in the forward by torch.view_as_complex"
            )
    return matches


def _refuse_unmeasurable(root: nn.Module, what: str) -> None:
    """Refuse modules that take no hooks, and modules without weights yet.

    Raises:
        LastbitTypeError: a module is TorchScript's.
        LastbitError: a lazy module has not been called.
    """
    for name, module in root.named_modules():
        where = f"{what}: {name} ({type(module).__name__})" if name else f"{what} ({type(module).__name__})"
        if isinstance(module, torch.jit.ScriptModule):
            raise LastbitTypeError(
                f"{where} is compiled by TorchScript, which takes no hooks; give the module that it was made of"
            )
        if any(map(is_lazy, (*module.parameters(recurse=False), *module.buffers(recurse=False)))):
            raise LastbitError(f"{where} is lazy and has no shape yet; call the model once with a batch first")


def _listing(names: Iterable[str]) -> str:
    """The first names, and the number of the others."""
    names = list(names)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def stepped_by(optimizer: Optimizer) -> frozenset[nn.Parameter]:
    """All parameters that an optimizer steps."""
    return frozenset(parameter for group in optimizer.param_groups for parameter in group["params"])


def chosen_and_stepped(
    model: nn.Module, optimizer: Optimizer, patterns: Choice, loss: object = None
) -> dict[str, nn.Parameter]:
    """The parameters that require a gradient, match one of the patterns, and are the optimizer's to step.

    Those of a loss module are among them.

    Raises:
        LastbitTypeError: the model is no `nn.Module`.
        LastbitError: there are none.
    """
    stepped = stepped_by(optimizer)
    matching = chosen(model, patterns, loss)
    matches = {name: parameter for name, parameter in matching.items() if parameter in stepped}
    if stepped.isdisjoint(model.parameters()) and not stepped <= set(matches.values()):
        raise LastbitError(
            f"none of the optimizer's {len(stepped)} parameters is the model's; give the model it was built for, and "
            "build the optimizer after the model has been copied, replaced or cast"
        )
    if matches:
        return matches
    raise LastbitError(f"the optimizer steps none of the parameters that parameters={patterns!r} matches")


def without_fixed_loss(
    model: nn.Module, loss: object, optimizer: Optimizer, patterns: Choice
) -> dict[str, nn.Parameter]:
    """The chosen parameters but for those of a loss module that the optimizer does not step."""
    stepped, own = stepped_by(optimizer), of_loss(model, loss)
    matching = chosen(model, patterns, loss)
    return {name: parameter for name, parameter in matching.items() if name not in own or parameter in stepped}


def refuse_nan(parameters: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite, whose loss has no curvature.

    Raises:
        LastbitError: a parameter holds NaN or infinities.
    """
    for name, parameter in parameters.items():
        bad = parameter.numel() - int(parameter.isfinite().sum())
        if bad:
            raise LastbitError(f"parameter {name} holds NaN or infinity in {bad} of {parameter.numel()} entries")


def flat_dtype(parameters: Iterable[Tensor]) -> torch.dtype:
    """Type of flat vectors: the widest of the parameters', and at least float32, since half precision cannot sum."""
    dtype = torch.float32
    for parameter in parameters:
        dtype = torch.promote_types(dtype, parameter.dtype)
    return dtype


def flatten(tensors: Iterable[Tensor], dtype: torch.dtype) -> Tensor:
    """One vector of all entries, on the device of the first tensor."""
    parts = [tensor.detach().reshape(-1) for tensor in tensors]
    return torch.cat([part.to(parts[0].device, dtype) for part in parts])


def unflatten(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of the shapes, types and devices of `like` from one flat vector."""
    parts = torch.split(vector, [math.prod(tensor.shape) for tensor in like])
    return [part.reshape(tensor.shape).to(tensor) for part, tensor in zip(parts, like, strict=True)]


def flatten_slopes(slopes: Iterable[Tensor | None], like: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """One vector of gradients, zero where there is none."""
    pairs = zip(slopes, like, strict=True)
    return flatten([torch.zeros_like(weight) if slope is None else slope for slope, weight in pairs], dtype)
