"""Whether the code of a module may call one of a few functions, read from its bytecode before it runs."""

from __future__ import annotations

import builtins
import dis
import types
from collections.abc import Collection, Iterator

import torch
from torch import nn
from torch.nn import functional

_LIBRARIES = (torch, functional, nn)
_DATA = (type(None), bool, int, float, str, torch.dtype, torch.Size, torch.Tensor)
_MODULE = vars(nn.Module()).keys()  # attributes that every module has
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
# Built-in functions through which code may reach what its bytecode does not name.
_OPAQUE = ("getattr", "eval", "exec", "globals", "locals", "vars", "__import__", "compile")
_NEVER_IN_A_PASS = ("__init__", "extra_repr", "__repr__", "__doc__", "__annotations__", "__module__", "__dict__")


def may_call(module: nn.Module, names: Collection[str]) -> bool:
    """Whether code that belongs to a module, and not to torch, may call functions or methods of some names.

    No is certain, as far as code can be read: then it uses only its parts and plain numbers, methods of other names,
    torch's functions of other names, and built-in functions. Whatever cannot be read counts as a call.

    Args:
        module: of any class; its parts are asked by themselves.
        names: such as `relu`.
    """
    own = vars(module)
    if any(own[name] for name in _HOOKS) or not all(_is_data(own[name]) for name in own.keys() - _MODULE):
        return True
    return any(_may_call(value, names) for value in _of_its_classes(type(module)))


def _is_data(value: object) -> bool:
    """Whether a value holds no function that could be called."""
    if isinstance(value, tuple | list):
        return all(map(_is_data, value))
    return isinstance(value, _DATA)


def _of_its_classes(kind: type) -> Iterator[object]:
    for cls in kind.__mro__:
        if cls is not object and not cls.__module__.startswith("torch."):
            yield from (value for name, value in vars(cls).items() if name not in _NEVER_IN_A_PASS)


def _may_call(value: object, names: Collection[str]) -> bool:
    if isinstance(value, property):
        return any(_may_call(part, names) for part in (value.fget, value.fset, value.fdel) if part is not None)
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if not isinstance(value, types.FunctionType):
        return not _is_data(value)
    return any(_reaches(code, value.__globals__, names) for code in _codes(value.__code__))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _reaches(code: types.CodeType, scope: dict[str, object], names: Collection[str]) -> bool:
    if not set(code.co_names).isdisjoint(names) or set(code.co_freevars) - {"__class__"}:
        return True
    steps = list(dis.get_instructions(code))
    if any(step.opname.startswith("IMPORT") for step in steps):
        return True
    loaded = {step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return not all(_is_harmless(name, scope) for name in loaded)


def _is_harmless(name: str, scope: dict[str, object]) -> bool:
    """Whether a global name stands for plain data, for torch, whose functions are named beside it, or a built-in."""
    if name not in scope:
        return hasattr(builtins, name) and name not in _OPAQUE
    return _is_data(scope[name]) or any(scope[name] is library for library in _LIBRARIES)
