"""Runs a program in a separate process, exactly as python would."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from lastbit.script.target import FILE, MODULE, Target, find_command, find_entry_point, target_from_json
from lastbit.storage.files import to_json

_HERE = str(Path(__file__).parent)

Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]
# `-c` puts the present directory first in the search path, where a file of the user's could stand for one of ours.
_BOOTSTRAP = "import sys; sys.flags.safe_path or sys.path.pop(0); from lastbit.script.launch import main; main()"


def launch(target: Target, instruments: Callable[[], AbstractContextManager[object]]) -> None:
    """Run `target` as this process's `__main__`; to be called once, in a process made for it.

    The program sees what it would under `python`: `sys.argv`, `sys.path[0]`, `__main__` with its `__file__` and
    `__spec__`. How it ends is its own as well: `SystemExit` and `KeyboardInterrupt` go through, and the traceback of
    an uncaught exception is printed without the frames of this package, by the program's own `sys.excepthook`.

    Args:
        target: what to run.
        instruments: called once `sys.argv` and `sys.path` are set; the context it gives is entered before the
            program's first line and left after its last, with the exception where it ended with one.

    Raises:
        BaseException: whatever the program raises; let it through to end the process as the program would have.
    """
    try:
        main, code = _prepared(target)
        with instruments():
            exec(code, vars(main))
    except BaseException:
        sys.excepthook = _without_our_frames(sys.excepthook)
        raise


def _prepared(target: Target) -> tuple[ModuleType, CodeType]:
    """Make the program's `__main__` and read its code."""
    main = ModuleType("__main__")
    vars(main).update(__annotations__={}, __builtins__=sys.modules["builtins"])
    sys.modules["__main__"] = main
    if target.kind == MODULE:
        return main, _module(target, main)
    path = Path(target.name) if target.kind == FILE else find_command(target.name)
    if path is None:
        return main, _entry_point(target)
    return main, _file(path, target, main)


def _file(path: Path, target: Target, main: ModuleType) -> CodeType:
    path_as_given = target.name if target.kind == FILE else str(path)
    sys.argv = [path_as_given, *target.arguments]
    _search_first(path.resolve().parent)
    file = os.path.join(os.getcwd(), path_as_given)  # noqa: PTH109, PTH118 - keeps `./`, as Python's __file__ does
    loader = SourceFileLoader("__main__", file)
    vars(main).update(__file__=file, __cached__=None, __loader__=loader)
    return loader.source_to_code(loader.get_data(file), file)


def _module(target: Target, main: ModuleType) -> CodeType:
    sys.argv = ["-m", *target.arguments]  # until the module is found, as under `python -m`
    _search_first(Path.cwd())
    spec = _main_spec(target.name)
    code: CodeType | None = spec.loader.get_code(spec.name)  # type: ignore[union-attr]
    if code is None:
        raise ImportError(f"No code object available for {target.name}")
    sys.argv[0] = str(spec.origin)
    vars(main).update(
        __file__=spec.origin, __cached__=spec.cached, __loader__=spec.loader, __package__=spec.parent, __spec__=spec
    )
    return code


def _main_spec(name: str) -> ModuleSpec:
    spec = find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = find_spec(f"{name}.__main__")
    if spec is None or spec.loader is None:
        raise ImportError(f"No module named {name}")
    return spec


def _entry_point(target: Target) -> CodeType:
    """What an installer would write into the file of a console script that has no such file."""
    entry = find_entry_point(target.name)
    if entry is None:
        raise ImportError(f"No console script named {target.name}")
    sys.argv = [target.name, *target.arguments]
    first = entry.attr.split(".")[0]
    program = f"import sys\nfrom {entry.module} import {first}\nsys.exit({entry.attr}())\n"
    return compile(program, target.name, "exec")


def _search_first(directory: Path) -> None:
    if not sys.flags.safe_path:  # the user's PYTHONSAFEPATH holds here too
        sys.path.insert(0, str(directory))


def _without_our_frames(hook: Hook) -> Hook:
    """An excepthook that passes the traceback from the program's first frame on to `hook`."""

    def print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Print a traceback from the user's first frame on."""
        while trace is not None and _is_ours(trace):
            trace = trace.tb_next
        hook(kind, error.with_traceback(trace), trace)

    return print_traceback


def _is_ours(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return file == "<string>" or file.startswith((_HERE, "<frozen importlib", "<frozen runpy"))


def child_command(target: Target, instruments: str, settings: Mapping[str, Any]) -> list[str]:
    """The command line of a Python process that runs `target` with instruments.

    Args:
        target: what to run.
        instruments: `module:function`. The function is called in that process with `settings` and gives a context
            manager, entered before the program's first line and left after its last.
        settings: plain JSON for that function.
    """
    order = {"target": target.as_json(), "instruments": instruments, "settings": dict(settings)}
    return [sys.executable, "-c", _BOOTSTRAP, to_json(order)]


def main() -> None:
    """Run what the command line of `child_command` asks for."""
    order = json.loads(sys.argv[1])
    module, _, function = order["instruments"].partition(":")
    install = getattr(import_module(module), function)
    instruments: partial[AbstractContextManager[object]] = partial(install, order["settings"])
    launch(target_from_json(order["target"]), instruments)
