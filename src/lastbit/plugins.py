"""Classes that are found by being there: in the files of a package, in another package's entry points, or defined."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from threading import RLock
from typing import Any, Generic, TypeVar

from lastbit.errors import LastbitError

T = TypeVar("T")


class Registry(Generic[T]):
    """Classes by name. A class enters by being defined; this imports what defines it, and nothing else.

    Nothing is ever imported because a stored file names it: a name leads to a file of the package, to an entry point
    that an installed distribution declares under this name, or to a class of a module that a program has imported.

    Args:
        package: whose files define classes, one or more each.
        group: of the entry points of other distributions.
        what: one of them, in messages.
    """

    def __init__(self, package: str, group: str, what: str) -> None:
        self.package, self.group, self.what = package, group, what
        self._classes: dict[str, type[T]] = {}
        self._broken = set[str]()  # entry points that could not be loaded
        self._imported = False
        self._importing = RLock()  # so that no thread sees the classes of some files only

    def enter(self, name: str, kind: type[T]) -> None:
        """Enter a class. One that is defined again, as by a notebook's cell, takes the place of the first.

        Raises:
            LastbitError: another class has the name.
        """
        other = self._classes.get(name)
        if other is not None and not _same(other, kind):
            places = " and ".join(f"{cls.__module__}:{cls.__qualname__}" for cls in (other, kind))
            raise LastbitError(f"{self.what} {name!r} is defined twice, by {places}; give one of them another name")
        self._classes[name] = kind

    def here(self) -> dict[str, type[T]]:
        """The classes that are defined already, by name: those of the package's files and of imported modules."""
        self._import_files()
        return dict(self._classes)

    def names(self) -> list[str]:
        """All names, sorted; entry points count without being imported."""
        return sorted({*self.here(), *self._declared})

    def get(self, name: str) -> type[T] | None:
        """The class of this name, if there is one; its entry point is loaded for it.

        Raises:
            LastbitError: the entry point of this name cannot be loaded.
        """
        if name not in self.here() and name in self._declared:
            self._load(self._declared[name])
        return self._classes.get(name)

    def all(self) -> Iterator[type[T]]:
        """Every class, those of all entry points included; an entry point that cannot be loaded is passed over."""
        for entry in self._declared.values():
            if entry.name not in self._broken:
                try:
                    self._load(entry)
                except LastbitError:
                    self._broken.add(entry.name)
        yield from dict.fromkeys(self.here().values())

    @cached_property
    def _declared(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}

    def _import_files(self) -> None:
        with self._importing:
            if not self._imported:
                self._imported = True
                for module in pkgutil.iter_modules(import_module(self.package).__path__, f"{self.package}."):
                    import_module(module.name)

    def _load(self, entry: EntryPoint) -> None:
        try:
            loaded: Any = entry.load()
        except Exception as error:  # whatever somebody else's module raises
            raise LastbitError(
                f"{self.what} {entry.name!r} cannot be loaded from {entry.value}: {type(error).__name__}: {error}"
            ) from error
        if isinstance(loaded, type) and entry.name not in self._classes:
            raise LastbitError(f"{self.what} {entry.name!r}: the entry point {entry.value} defines none of that name")


def _same(one: type[Any], other: type[Any]) -> bool:
    """Whether two classes are the same lines of code, run again; a program's main module has several names."""
    modules = {one.__module__, other.__module__} - {"__main__", "__mp_main__"}
    return one.__qualname__ == other.__qualname__ and len(modules) <= 1
