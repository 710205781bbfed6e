"""Visit everything that evaluating a model, a loss or a data set may reach.

That is attributes, items of containers, cells of closures, and the globals that a function names.
"""

from __future__ import annotations

import io
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lastbit.curvature.untouched.memories import (
    GENERATORS,
    Remembered,
    of_dict,
    of_file,
    of_generator,
    of_items,
    of_iterator,
    of_variable,
)
from lastbit.curvature.untouched.names import ASIDE, Name, codes, installed, item, named_by, of_python, own, root

Held = Iterator[tuple[Name, Any]]  # what a thing holds, each with the path there

_ATOMS = (str, bytes, int, float, complex, type(None), types.ModuleType, types.BuiltinFunctionType, torch.dtype)
_PLAIN_STDLIB = ("collections", "types", "argparse", "functools", "dataclasses")
_MANY = 2000  # from so many items on a container is data: which items it has is remembered, not what they hold


class Walk:
    """Visits everything that the roots reach, and remembers it.

    Args:
        installed_too: see `ReachableState`.
        remember: see `ReachableState`.
    """

    def __init__(self, *, installed_too: bool, remember: bool) -> None:
        self.modules: list[nn.Module] = []
        self.loaders: list[DataLoader[Any]] = []
        self.devices: set[torch.device] = set()
        self.installed_too, self._remembers = installed_too, remember
        self._memories: list[Remembered] = []
        self._generators: list[Callable[[], str]] = []
        self._seen: dict[int, object] = {}  # keeps objects alive, so that no id is used twice
        self._contents: list[tuple[Name, Any]] = []  # tensors and arrays: remembered last, since copies are limited
        self._named: set[str] | None = set()  # names that visited code uses; None: it may use any
        self._narrow: list[tuple[Name, Any, set[str]]] = []  # objects and classes, and the names visited so far

    def _walk(self, waiting: list[tuple[Name, Any]]) -> None:
        """Visit all that can be reached; when code with new names comes up, visit what they name too."""
        while waiting:
            named = self._named if self._named is None else len(self._named)
            while waiting:
                name, thing = waiting.pop()
                if not self.covers(thing):
                    self._seen[id(thing)] = thing
                    waiting.extend(self._visit(name, thing))
            if self._named is None or len(self._named) != named:
                for name, thing, given in self._narrow:
                    waiting.extend(self._some(name, thing, given))

    def covers(self, thing: object) -> bool:
        """Whether an object holds no state, or has been visited."""
        return isinstance(thing, _ATOMS) or id(thing) in self._seen

    def _remember(self, of_thing: Callable[..., Remembered], *thing: Any) -> None:
        if self._remembers:
            self._memories.append(of_thing(*thing))

    def _visit(self, name: Name, thing: Any) -> Held:
        """Remember an object and yield what it holds."""
        if isinstance(thing, Tensor):
            self._contents.append((name, thing))
            self.devices.add(thing.device)
        elif isinstance(thing, np.ndarray):
            if not thing.dtype.hasobject:
                self._contents.append((name, thing))
        elif isinstance(thing, GENERATORS):
            memory, text = of_generator(name, thing)
            self._memories.append(memory)
            self._generators.append(text)
        elif isinstance(thing, tuple | frozenset):
            yield from _items(name, enumerate(thing), len(thing))
        elif isinstance(thing, types.FunctionType):
            yield from self._function(Name("", name, entire=False), thing)
        elif isinstance(thing, types.MethodType):
            name = Name("", name, entire=False)
            yield from ((name, thing.__self__), (name, thing.__func__))
        elif isinstance(thing, partial):
            yield from ((name, thing.func), (name, thing.args), (name, thing.keywords))
        elif isinstance(thing, type):
            yield from self._class(name, thing)
        elif isinstance(thing, staticmethod | classmethod):
            yield name, thing.__func__
        elif isinstance(thing, property):
            yield from ((name, thing.fget), (name, thing.fset))
        else:
            yield from self._object(name, thing)

    def _object(self, name: Name, thing: Any) -> Held:
        """A container, a file, an iterator, or an object with attributes; a subclass of a container is both."""
        if isinstance(thing, dict):
            self._remember(of_dict, name, thing)
            yield from _items(name, list(thing.items()), len(thing))
        elif isinstance(thing, list | deque | bytearray | set):
            self._remember(of_items, name, thing)
            yield from _items(name, enumerate(list(thing)), len(thing))
        elif isinstance(thing, io.IOBase):
            self._memories.extend(of_file(name, thing))
        elif isinstance(thing, Iterator):
            self._remember(of_iterator, name, thing)
        if isinstance(thing, nn.Module):
            self.modules.append(thing)
        if isinstance(thing, DataLoader):
            self.loaders.append(thing)
        if isinstance(thing, nn.Module):  # what code of a package does with what it holds is not looked up
            yield from self._attributes(Name("", name, entire=not own(type(thing).__module__)), thing)
        elif self._inside(type(thing)):
            if (
                self.installed_too or name.entire or root(type(thing).__module__) == "functools"
            ):  # whose code has no names
                yield from self._attributes(name, thing)
            else:
                yield from self._narrowly(name, thing)
        else:
            return
        yield name, type(thing)

    def _inside(self, kind: type) -> bool:
        """Whether the walk goes into objects of a class."""
        package = root(kind.__module__)
        if of_python(package):
            return package in _PLAIN_STDLIB
        return self.installed_too or not installed(package)

    def _attributes(self, name: Name, thing: Any) -> Held:
        """All attributes of an object."""
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            self._remember(of_dict, name, attributes)
            yield from ((Name(f".{key}", name), value) for key, value in list(attributes.items()))
        yield from self._slots(name, thing, None)

    def _slots(self, name: Name, thing: Any, names: set[str] | None) -> Held:
        for slot in _slots_of(type(thing)):
            if not slot.startswith("__") and (names is None or slot in names) and hasattr(thing, slot):
                read, write = partial(getattr, thing, slot, None), partial(object.__setattr__, thing, slot)
                yield from self._variable(Name(f".{slot}", name), read, write)

    def _narrowly(self, name: Name, thing: Any) -> Held:
        """The attributes of an object or a class that code names, now and when more names come up."""
        given: set[str] = set()
        self._narrow.append((name, thing, given))
        yield from self._some(name, thing, given)

    def _some(self, name: Name, thing: Any, given: set[str]) -> Held:
        """The attributes of an object or a class that code names and that have not been visited yet."""
        members = thing.__mro__ if isinstance(thing, type) else ()
        there = {key for base in members if not of_python(root(base.__module__)) for key in vars(base)}
        attributes = None if isinstance(thing, type) else getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            there.update(list(attributes))
        if not isinstance(thing, type):
            there.update(_slots_of(type(thing)))
        implicit = {key for key in there if key.startswith("__")} - ASIDE if members else set()
        new = (there if self._named is None else there & (self._named | implicit)) - given
        given |= new
        if isinstance(attributes, dict):
            yield from ((Name(f".{key}", name), attributes[key]) for key in sorted(new & attributes.keys()))
        if new and not isinstance(thing, type):
            yield from self._slots(name, thing, new)
        for base in members:
            yield from self._members(base, new)

    def _variable(self, name: Name, read: Callable[[], Any], write: Callable[[Any], object]) -> Held:
        self._remember(of_variable, name, read, write)
        yield name, read()

    def _function(self, name: Name, function: types.FunctionType) -> Held:
        names = named_by(function)
        self._named = None if names is None or self._named is None else self._named | names
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if cell != types.CellType():  # an empty one's variable has not been assigned
                read, write = partial(getattr, cell, "cell_contents", None), partial(setattr, cell, "cell_contents")
                yield from self._variable(Name(variable), read, write)
        yield Name("'s defaults", name), (function.__defaults__, function.__kwdefaults__)
        self._remember(of_dict, name, function.__dict__)
        yield from ((Name(f".{key}", name), value) for key, value in list(function.__dict__.items()))
        if own(function.__module__ or ""):
            yield from self._globals(function)

    def _globals(self, function: types.FunctionType) -> Held:
        """The globals that a function and those inside it name, and the attributes of modules among them."""
        names = {name for code in codes(function) for name in code.co_names}
        scope = function.__globals__
        modules = [module for name in names if isinstance(module := scope.get(name), types.ModuleType)]
        for space in (scope, *(vars(module) for module in modules if own(module.__name__))):
            for variable in sorted(names & space.keys()):
                yield from self._variable(
                    Name(variable), partial(space.get, variable), partial(space.__setitem__, variable)
                )

    def _class(self, name: Name, kind: type) -> Held:
        """The methods and attributes of a class of the user's own, and of its bases."""
        if not (self.installed_too or name.entire or issubclass(kind, nn.Module)):
            yield from self._narrowly(name, kind)
            return
        for base in kind.__mro__:
            yield from self._members(base, None)

    def _members(self, base: type, names: set[str] | None) -> Held:
        """A class's own members, all or those with these names; of an installed class only such functions."""
        mine = own(base.__module__)
        for key, value in list(vars(base).items()) if mine or names else ():
            name = Name(f"{base.__name__}.{key}")
            if names is not None and key not in names:
                continue
            if not mine:
                if isinstance(value, types.FunctionType) and not of_python(root(base.__module__)):
                    yield name, value
            elif callable(value) or hasattr(value, "__get__"):
                yield name, value
            elif not key.startswith("__"):
                yield from self._variable(name, partial(getattr, base, key, None), partial(setattr, base, key))


def _items(name: Name, pairs: Iterable[tuple[Any, Any]], count: int) -> Held:
    """The items of a container, unless there are so many that it is data."""
    if count <= _MANY:
        yield from ((item(key, name), value) for key, value in pairs)


def _slots_of(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots
