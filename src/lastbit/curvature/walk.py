"""Along a model, a loss or a data set: all that an evaluation may reach.

Attributes, items of containers, cells of closures, globals that a function names.
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

from lastbit.curvature.memories import (
    GENERATORS,
    Memory,
    of_dict,
    of_file,
    of_generator,
    of_items,
    of_iterator,
    of_variable,
)
from lastbit.curvature.way import ASIDE, Way, codes, installed, item, named_by, of_python, own, root

Held = Iterator[tuple[Way, Any]]  # what a thing holds, and the ways there

_ATOMS = (str, bytes, int, float, complex, type(None), types.ModuleType, types.BuiltinFunctionType, torch.dtype)
_PLAIN_STDLIB = ("collections", "types", "argparse", "functools", "dataclasses")
_MANY = 2000  # items of a container that is data rather than state: which they are is remembered, not what they hold


class Walk:
    """Visits what roots reach, and remembers it.

    Args:
        whole: see `State`.
        remember: see `State`.
    """

    def __init__(self, *, whole: bool, remember: bool) -> None:
        self.modules: list[nn.Module] = []
        self.loaders: list[DataLoader[Any]] = []
        self.devices: set[torch.device] = set()
        self.whole, self._remembers = whole, remember
        self._memories: list[Memory] = []
        self._generators: list[Callable[[], str]] = []
        self._seen: dict[int, object] = {}  # keeps them alive, so that no id is used twice
        self._contents: list[tuple[Way, Any]] = []  # tensors and arrays: last, for what is copied is limited
        self._named: set[str] | None = set()  # by code on the walk; None: it may name anything
        self._narrow: list[tuple[Way, Any, set[str]]] = []  # objects and classes, and which of the names they gave

    def _walk(self, waiting: list[tuple[Way, Any]]) -> None:
        """Visit all that can be reached; where more names have come up, again what they may name."""
        while waiting:
            named = self._named if self._named is None else len(self._named)
            while waiting:
                way, thing = waiting.pop()
                if not self.covers(thing):
                    self._seen[id(thing)] = thing
                    waiting.extend(self._visit(way, thing))
            if self._named is None or len(self._named) != named:
                for way, thing, given in self._narrow:
                    waiting.extend(self._some(way, thing, given))

    def covers(self, thing: object) -> bool:
        """Whether there is nothing, or nothing more, to remember of a thing."""
        return isinstance(thing, _ATOMS) or id(thing) in self._seen

    def _remember(self, of_thing: Callable[..., Memory], *thing: Any) -> None:
        if self._remembers:
            self._memories.append(of_thing(*thing))

    def _visit(self, way: Way, thing: Any) -> Held:
        """Remember a thing and yield what it holds."""
        if isinstance(thing, Tensor):
            self._contents.append((way, thing))
            self.devices.add(thing.device)
        elif isinstance(thing, np.ndarray):
            if not thing.dtype.hasobject:
                self._contents.append((way, thing))
        elif isinstance(thing, GENERATORS):
            memory, text = of_generator(way, thing)
            self._memories.append(memory)
            self._generators.append(text)
        elif isinstance(thing, tuple | frozenset):
            yield from _items(way, enumerate(thing), len(thing))
        elif isinstance(thing, types.FunctionType):
            yield from self._function(Way("", way, entire=False), thing)
        elif isinstance(thing, types.MethodType):
            way = Way("", way, entire=False)
            yield from ((way, thing.__self__), (way, thing.__func__))
        elif isinstance(thing, partial):
            yield from ((way, thing.func), (way, thing.args), (way, thing.keywords))
        elif isinstance(thing, type):
            yield from self._class(way, thing)
        elif isinstance(thing, staticmethod | classmethod):
            yield way, thing.__func__
        elif isinstance(thing, property):
            yield from ((way, thing.fget), (way, thing.fset))
        else:
            yield from self._object(way, thing)

    def _object(self, way: Way, thing: Any) -> Held:
        """A container, a file, an iterator, or an object with attributes; a subclass of a container is both."""
        if isinstance(thing, dict):
            self._remember(of_dict, way, thing)
            yield from _items(way, list(thing.items()), len(thing))
        elif isinstance(thing, list | deque | bytearray | set):
            self._remember(of_items, way, thing)
            yield from _items(way, enumerate(list(thing)), len(thing))
        elif isinstance(thing, io.IOBase):
            self._memories.extend(of_file(way, thing))
        elif isinstance(thing, Iterator):
            self._remember(of_iterator, way, thing)
        if isinstance(thing, nn.Module):
            self.modules.append(thing)
        if isinstance(thing, DataLoader):
            self.loaders.append(thing)
        if isinstance(thing, nn.Module):  # what code of a package does with what it holds is not looked up
            yield from self._attributes(Way("", way, entire=not own(type(thing).__module__)), thing)
        elif self._inside(type(thing)):
            if self.whole or way.entire or root(type(thing).__module__) == "functools":  # whose code has no names
                yield from self._attributes(way, thing)
            else:
                yield from self._narrowly(way, thing)
        else:
            return
        yield way, type(thing)

    def _inside(self, kind: type) -> bool:
        """Whether the walk goes into objects of a class."""
        package = root(kind.__module__)
        if of_python(package):
            return package in _PLAIN_STDLIB
        return self.whole or not installed(package)

    def _attributes(self, way: Way, thing: Any) -> Held:
        """All attributes of an object."""
        attributes = getattr(thing, "__dict__", None)
        if isinstance(attributes, dict):
            self._remember(of_dict, way, attributes)
            yield from ((Way(f".{key}", way), value) for key, value in list(attributes.items()))
        yield from self._slots(way, thing, None)

    def _slots(self, way: Way, thing: Any, names: set[str] | None) -> Held:
        for base in type(thing).__mro__:
            slots = vars(base).get("__slots__", ())
            for slot in (slots,) if isinstance(slots, str) else tuple(slots):
                if not slot.startswith("__") and (names is None or slot in names) and hasattr(thing, slot):
                    read = partial(getattr, thing, slot, None)
                    yield from self._variable(Way(f".{slot}", way), read, partial(object.__setattr__, thing, slot))

    def _narrowly(self, way: Way, thing: Any) -> Held:
        """What code names of an object or a class, now and when more is known to be named."""
        given: set[str] = set()
        self._narrow.append((way, thing, given))
        yield from self._some(way, thing, given)

    def _some(self, way: Way, thing: Any, given: set[str]) -> Held:
        """The attributes of an object or a class that code names and that have not been given yet."""
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
            yield from ((Way(f".{key}", way), attributes[key]) for key in sorted(new & attributes.keys()))
        if new and not isinstance(thing, type):
            yield from self._slots(way, thing, new)
        for base in members:
            yield from self._members(base, new)

    def _variable(self, way: Way, read: Callable[[], Any], write: Callable[[Any], object]) -> Held:
        self._remember(of_variable, way, read, write)
        yield way, read()

    def _function(self, way: Way, function: types.FunctionType) -> Held:
        names = named_by(function)
        self._named = None if names is None or self._named is None else self._named | names
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if cell != types.CellType():  # an empty one's variable has not been assigned
                read, write = partial(getattr, cell, "cell_contents", None), partial(setattr, cell, "cell_contents")
                yield from self._variable(Way(variable), read, write)
        yield Way("'s defaults", way), (function.__defaults__, function.__kwdefaults__)
        self._remember(of_dict, way, function.__dict__)
        yield from ((Way(f".{key}", way), value) for key, value in list(function.__dict__.items()))
        if own(function.__module__ or ""):
            yield from self._globals(function)

    def _globals(self, function: types.FunctionType) -> Held:
        """What a function and those written inside it name: globals, and attributes of modules that are named."""
        names = {name for code in codes(function) for name in code.co_names}
        scope = function.__globals__
        modules = [found for name in names if isinstance(found := scope.get(name), types.ModuleType)]
        for space in (scope, *(vars(module) for module in modules if own(module.__name__))):
            for variable in sorted(names & space.keys()):
                yield from self._variable(
                    Way(variable), partial(space.get, variable), partial(space.__setitem__, variable)
                )

    def _class(self, way: Way, kind: type) -> Held:
        """The methods and attributes of a class of the user's own, and of those it comes from."""
        if not (self.whole or way.entire or issubclass(kind, nn.Module)):
            yield from self._narrowly(way, kind)
            return
        for base in kind.__mro__:
            yield from self._members(base, None)

    def _members(self, base: type, names: set[str] | None) -> Held:
        """What a class holds itself, or what of it is named; of an installed one the functions that are named."""
        mine = own(base.__module__)
        for key, value in list(vars(base).items()) if mine or names else ():
            way = Way(f"{base.__name__}.{key}")
            if names is not None and key not in names:
                continue
            if not mine:
                if isinstance(value, types.FunctionType) and not of_python(root(base.__module__)):
                    yield way, value
            elif callable(value) or hasattr(value, "__get__"):
                yield way, value
            elif not key.startswith("__"):
                yield from self._variable(way, partial(getattr, base, key, None), partial(setattr, base, key))


def _items(way: Way, pairs: Iterable[tuple[Any, Any]], count: int) -> Held:
    """The items of a container that is not data."""
    if count <= _MANY:
        yield from ((item(key, way), value) for key, value in pairs)


def _slots_of(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots
