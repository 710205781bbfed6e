"""Something to do as soon as a program has imported a library, without importing it for the program."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


def after_import(name: str, act: Callable[[], None]) -> None:
    """Call `act` once, right after the program's first `import name` and before that import hands over the module.

    The program then meets the library as it would without us: variables it sets before the import still count, and a
    program that never imports the library is not made to.

    Args:
        name: of a top-level module, such as `torch`. Where it is imported already, `act` is called at once.
        act: without arguments.
    """
    if name in sys.modules:
        act()
    else:
        sys.meta_path.insert(0, _Finder(name, act))


class _Finder(MetaPathFinder):
    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self.name, self.act = name, act

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the awaited module's spec with the act put behind its loading; None for others."""
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            _act_after(spec.loader, self.act)
        return spec


def _act_after(loader: Loader, act: Callable[[], None]) -> None:
    """Make a loader call `act` after it has run the module; an attribute of this one loader, whose class stays."""
    execute = loader.exec_module

    def execute_and_act(module: ModuleType) -> None:
        """Run the module's code, then act."""
        execute(module)
        act()

    loader.exec_module = execute_and_act  # type: ignore[method-assign]
