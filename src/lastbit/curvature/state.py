"""What a model, a loss or a data set can reach, remembered so that it can be put back.

An evaluation may change more than tensors: counters of modules, lists that hooks fill, generators of data sets, other
networks that the loss goes through. All of it hangs on the objects that are evaluated: attributes, items of containers,
cells of closures, globals that a function names. `State` walks along these and keeps a shallow copy of each.
"""

from __future__ import annotations

import io
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lastbit.curvature.memories import (
    GENERATORS,
    Memory,
    of_array,
    of_dict,
    of_file,
    of_generator,
    of_items,
    of_iterator,
    of_tensor,
    of_variable,
)
from lastbit.errors import LastbitError

Held = Iterator[tuple[str, Any]]  # what a thing holds, by the names that messages give it

_ATOMS = (str, bytes, int, float, complex, type(None), types.ModuleType, types.BuiltinFunctionType, torch.dtype)
_PLAIN_STDLIB = ("collections", "types", "argparse", "functools", "dataclasses")
_COPIED = 2**28  # bytes of tensors and arrays that are copied; of what is beyond, writes by torch alone are noticed
_MANY = 2000  # items of a container that is data rather than state: which they are is remembered, not what they hold


class State:
    """Everything that the roots reach, as it is now.

    Args:
        roots: what is about to be evaluated or read.
        whole: walk into objects of installed packages too, such as samplers. Otherwise into those that are modules
            only: a trainer or a logger, which threads of its own may be changing, stays out.
        outer: a state that is part of this one: what it has met is not walked along again.
    """

    def __init__(self, *roots: object, whole: bool = False, outer: State | None = None) -> None:
        self.modules: list[nn.Module] = [] if outer is None else list(outer.modules)
        self.loaders: list[DataLoader[Any]] = [] if outer is None else list(outer.loaders)
        self.devices: set[torch.device] = set() if outer is None else set(outer.devices)
        self.whole, self._outer, self._copied = whole, outer, 0
        self._memories: list[Memory] = []
        self._generators: list[Callable[[], str]] = []
        self._seen: dict[int, object] = {}  # keeps them alive, so that no id is used twice
        waiting: list[tuple[str, Any]] = [(getattr(root, "__name__", type(root).__name__), root) for root in roots]
        while waiting:
            name, thing = waiting.pop()
            if not self._met(thing):
                self._seen[id(thing)] = thing
                waiting.extend(self._visit(name, thing))

    def covers(self, root: object) -> bool:
        """Whether the walk has met an object."""
        return self._met(root)

    def generators(self) -> list[str]:
        """The states of the random generators that the roots hold, as text."""
        before = [] if self._outer is None else self._outer.generators()
        return [*before, *(text() for text in self._generators)]

    def restore(self) -> None:
        """Put back what has changed since: all that can be, whatever cannot.

        Raises:
            LastbitError: something has changed that cannot be put back.
        """
        if self._outer is not None:
            self._outer.restore()
        lost = [(memory.name, failure) for memory in self._memories for failure in _failures(memory)]
        if lost:
            name, reason = lost[0]
            raise LastbitError(
                f"measuring changes {name}, which cannot be put back; give a model, a loss and data that leave it "
                "as it is, such as fixed batches in a list"
            ) from reason

    def _met(self, thing: object) -> bool:
        """Whether there is nothing, or nothing more, to remember of a thing."""
        if isinstance(thing, _ATOMS) or id(thing) in self._seen:
            return True
        return self._outer is not None and self._outer.covers(thing)

    def _visit(self, name: str, thing: Any) -> Held:
        """Remember a thing and yield what it holds."""
        if isinstance(thing, Tensor):
            memories, copied = of_tensor(name, thing, _COPIED - self._copied)
            self._memories.extend(memories)
            self._copied += copied
            self.devices.add(thing.device)
        elif isinstance(thing, np.ndarray):
            if not thing.dtype.hasobject and thing.nbytes <= _COPIED - self._copied:
                self._memories.append(of_array(name, thing))
                self._copied += thing.nbytes
        elif isinstance(thing, GENERATORS):
            memory, text = of_generator(name, thing)
            self._memories.append(memory)
            self._generators.append(text)
        elif isinstance(thing, tuple | frozenset):
            yield from ((f"{name}[{index}]", item) for index, item in enumerate(thing) if len(thing) <= _MANY)
        elif isinstance(thing, types.FunctionType):
            yield from self._function(name, thing)
        elif isinstance(thing, types.MethodType):
            yield from ((name, thing.__self__), (name, thing.__func__))
        elif isinstance(thing, partial):
            yield from ((name, thing.func), (name, thing.args), (name, thing.keywords))
        elif isinstance(thing, type):
            yield from self._class(thing)
        elif isinstance(thing, staticmethod | classmethod | property):
            yield name, thing.fget if isinstance(thing, property) else thing.__func__
        else:
            yield from self._object(name, thing)

    def _object(self, name: str, thing: Any) -> Held:
        """A container, a file, an iterator, or an object with attributes; a subclass of a container is both."""
        if isinstance(thing, dict):
            self._memories.append(of_dict(name, thing))
            yield from ((f"{name}[{key!r}]", value) for key, value in list(thing.items()) if len(thing) <= _MANY)
        elif isinstance(thing, list | deque | bytearray | set):
            self._memories.append(of_items(name, thing))
            yield from ((f"{name}[{index}]", item) for index, item in enumerate(list(thing)) if len(thing) <= _MANY)
        elif isinstance(thing, io.IOBase):
            self._memories.extend(of_file(name, thing))
        elif isinstance(thing, Iterator):
            self._memories.append(of_iterator(name, thing))
        if isinstance(thing, nn.Module):
            self.modules.append(thing)
        if isinstance(thing, DataLoader):
            self.loaders.append(thing)
        if isinstance(thing, nn.Module) or self._inside(type(thing)):
            yield from self._attributes(name, thing)
            yield name, type(thing)

    def _inside(self, kind: type) -> bool:
        """Whether the walk goes into objects of a class."""
        root = _root(kind.__module__)
        if _of_python(root):
            return root in _PLAIN_STDLIB
        return self.whole or not _installed(root)

    def _attributes(self, name: str, thing: Any) -> Held:
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            self._memories.append(of_dict(name, attributes))
            yield from ((f"{name}.{key}", value) for key, value in list(attributes.items()))
        for base in type(thing).__mro__:
            slots = vars(base).get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else tuple(slots):
                if not slot.startswith("__") and hasattr(thing, slot):
                    read = partial(getattr, thing, slot, None)
                    yield from self._variable(f"{name}.{slot}", read, partial(object.__setattr__, thing, slot))

    def _variable(self, name: str, read: Callable[[], Any], write: Callable[[Any], object]) -> Held:
        self._memories.append(of_variable(name, read, write))
        yield name, read()

    def _function(self, name: str, function: types.FunctionType) -> Held:
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if cell != types.CellType():  # an empty one's variable has not been assigned
                read, write = partial(getattr, cell, "cell_contents", None), partial(setattr, cell, "cell_contents")
                yield from self._variable(variable, read, write)
        yield f"{name}'s defaults", (function.__defaults__, function.__kwdefaults__)
        self._memories.append(of_dict(name, function.__dict__))
        yield from ((f"{name}.{key}", value) for key, value in list(function.__dict__.items()))
        if _own(function.__module__ or ""):
            yield from self._globals(function)

    def _globals(self, function: types.FunctionType) -> Held:
        """What a function and those written inside it name: globals, and attributes of modules that are named."""
        names: set[str] = set()
        codes = [function.__code__]
        while codes:
            code = codes.pop()
            names.update(code.co_names)
            codes.extend(constant for constant in code.co_consts if isinstance(constant, types.CodeType))
        scope = function.__globals__
        modules = [found for name in names if isinstance(found := scope.get(name), types.ModuleType)]
        for space in (scope, *(vars(module) for module in modules if _own(module.__name__))):
            for variable in sorted(names & space.keys()):
                yield from self._variable(variable, partial(space.get, variable), partial(space.__setitem__, variable))

    def _class(self, kind: type) -> Held:
        """The methods and attributes of a class of the user's own, and of those it comes from."""
        for base in kind.__mro__:
            if not _own(base.__module__):
                continue
            for key, value in list(vars(base).items()):
                name = f"{base.__name__}.{key}"
                if callable(value) or hasattr(value, "__get__"):
                    yield name, value
                elif not key.startswith("__"):
                    read = partial(getattr, base, key, None)
                    yield from self._variable(name, read, partial(setattr, base, key))


def _failures(memory: Memory) -> list[Exception | None]:
    """Put one thing back where it has changed; empty unless that failed, None where it cannot be done."""
    try:
        if not memory.changed():
            return []
        if memory.put_back is None:
            return [None]
        memory.put_back()
    except Exception as error:  # the rest is to be put back all the same
        return [error]
    return []


def _root(module: str) -> str:
    return module.partition(".")[0]


def _of_python(root: str) -> bool:
    return root in sys.stdlib_module_names and root != "__main__"


@cache
def _installed(root: str) -> bool:
    """Whether a top-level module is lastbit or an installed package, and not the user's own code."""
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return root == "lastbit" or "site-packages" in file or "dist-packages" in file


def _own(module: str) -> bool:
    """Whether a module is the user's own code."""
    return not _installed(_root(module)) and not _of_python(_root(module))
