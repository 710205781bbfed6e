"""Callbacks for what a program does: it imports a library, starts another process, or ends."""

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

Act = Callable[[], None]
OnReplaced = Callable[[str | None], None]
Report = Callable[[str], None]
_WORDS = 6  # of a command line, which may be long
_LOADERS = "torch.utils.data"
_SERVING = (_LOADERS, "multiprocessing.", "concurrent.futures")  # modules of functions that processes of theirs run
# Programs also start git, compilers and system tools.
_MAY_TRAIN = ("python", "torchrun", "accelerate", "deepspeed", "lightning", "fabric", "mpi", "srun", "bash", "sh")
# Commands that start the program behind their options.
_PASS_ON = (
    *("env", "nohup", "nice", "ionice", "timeout", "time", "taskset", "numactl", "stdbuf", "setsid", "uv", "conda"),
)


def after_import(name: str, act: Callable[[], None]) -> None:
    """Call `act` once, right after the program's first `import name` and before that import returns.

    The program sees the library as it would without us: variables that it sets before the import still count, and a
    program that never imports the library is not made to.

    Args:
        name: of a module, such as `torch`. Where it is imported already, `act` is called at once.
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
        """The awaited module's spec, whose loader calls `act` in the end; None for other modules."""
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            _act_after(spec.loader, self.act)
        return spec


def _act_after(loader: Loader, act: Callable[[], None]) -> None:
    """Make this loader, and not its class, call `act` after it has run the module."""
    execute = loader.exec_module

    def execute_and_act(module: ModuleType) -> None:
        """Run the module's code, then act."""
        execute(module)
        act()

    loader.exec_module = execute_and_act  # type: ignore[method-assign]


def at_every_end(act: Act, on_replaced: OnReplaced) -> None:
    """Call `act` once, as the last thing that this process does.

    A program ends in more ways than by its last line: by `sys.exit`, an exception, a thread that outlives its main
    function, handlers of `atexit` that still train, `os._exit`, or by becoming another program (`os.exec*`). What was
    registered with `atexit` first is called last of all, after the other threads, so this must be called before the
    program's first line. A process forked from this one does nothing at its end. No Python code runs after a signal
    that kills, or C code that ends the process: then `act` was never called.

    Args:
        act: without arguments.
        on_replaced: called before `act` where the process becomes another program, with that program's words; and with
            None where that failed, so that the process goes on. Then `act` is called again at its end.
    """
    end = _Once(act)
    atexit.register(end)
    _before_os_exit(end)
    sys.addaudithook(lambda event, args: _exec(event, args, end, on_replaced))
    for name in ("execv", "execve"):  # all others of the family come down to these
        _undo_where_failed(name, end, on_replaced)


class _Once:
    """Acts at its first call, in the process that made it; again only where the end did not come."""

    def __init__(self, act: Act) -> None:
        self._act, self._process, self._done = act, os.getpid(), False

    @property
    def due(self) -> bool:
        """Whether a call would act."""
        return not self._done and os.getpid() == self._process

    def __call__(self) -> None:
        """Act, unless it has acted before."""
        if self.due:
            self._done = True
            self._act()

    def undo(self) -> None:
        """Act at the next call again: the end did not come."""
        self._done = False


def _before_os_exit(end: _Once) -> None:
    leave = os._exit

    def leave_after_all(status: int) -> None:
        """Act, then end the process at once, as `os._exit` does."""
        try:
            end()
        finally:
            leave(status)

    os._exit = leave_after_all  # type: ignore[assignment]


def _exec(event: str, args: tuple[Any, ...], end: _Once, on_replaced: OnReplaced) -> None:
    if event == "os.exec" and end.due:
        on_replaced(" ".join(os.fsdecode(word) for word in args[1]))
        end()


def _undo_where_failed(name: str, end: _Once, on_replaced: OnReplaced) -> None:
    become = getattr(os, name)

    @wraps(become)
    def become_or_go_on(*args: Any, **options: Any) -> None:
        """Become another program; where that fails, the process goes on as if nothing had been noted."""
        was_due = end.due
        try:
            become(*args, **options)
        finally:  # reached only where it failed
            if was_due and not end.due:
                end.undo()
                on_replaced(None)

    setattr(os, name, become_or_go_on)


def on_every_child(report: Report) -> None:
    """Call `report` with a description of each process that this one starts from now on and that may train.

    The workers of torch's data loaders are passed over: they prepare batches.

    Args:
        report: given words such as `multiprocessing, spawn: worker`.
    """
    here = os.getpid()

    def started(event: str, args: tuple[Any, ...]) -> None:
        """Report a command."""
        if event in ("subprocess.Popen", "os.system", "os.posix_spawn") and os.getpid() == here:
            words = _words(args[0] if event == "os.system" else args[1])
            if any(word.startswith(_MAY_TRAIN) for word in _programs(words)):
                report(" ".join(words[:_WORDS]))
        elif event == "os.fork" and os.getpid() == here:
            caller = sys._getframe(1)
            if not str(caller.f_globals.get("__name__")).startswith("multiprocessing"):  # which is reported beside this
                report(f"os.fork: {caller.f_code.co_name}")

    sys.addaudithook(started)
    after_import("multiprocessing", lambda: _watch_processes(report))


def _words(given: Any) -> list[str]:
    """The words of a command line, the program without its directory."""
    words = given.split() if isinstance(given, str | bytes) else [os.fspath(word) for word in given]
    return [Path(os.fsdecode(words[0])).name, *map(os.fsdecode, words[1:])] if words else []


def _programs(words: list[str]) -> list[str]:
    """The first words that may be the program: behind `A=1`, all that follow `env`, `nice` and the like."""
    programs = [Path(word).name for word in words[:_WORDS] if "=" not in word and not word.startswith("-")]
    return programs if programs and programs[0] in _PASS_ON else programs[:1]


def _watch_processes(report: Report) -> None:
    from multiprocessing.process import BaseProcess

    here, start = os.getpid(), BaseProcess.start

    def report_and_start(process: BaseProcess) -> None:
        """Report the process, then start it, which forgets what it is to do."""
        if os.getpid() == here and not _module(process).startswith(_LOADERS):
            report(f"multiprocessing, {_method(process)}: {_function(process)}")
        start(process)

    BaseProcess.start = report_and_start  # type: ignore[method-assign, assignment]


def serves(words: str) -> bool:
    """Whether the process that a report's words are of serves others, as one of a pool."""
    return words.partition(": ")[2].startswith(_SERVING)


def in_trained_forks(keeper: Any, act: Callable[[Any], None]) -> None:
    """Call `act` in each process that multiprocessing forks from this one, once that has its name, if it may train.

    Workers of data loaders, pools and executors, and servers of managers, are passed over.

    Args:
        keeper: given to `act`; when it is gone, nothing is called.
        act: given the keeper.
    """
    from multiprocessing import current_process
    from multiprocessing.util import register_after_fork

    def forked(keeper: Any) -> None:
        """Act where the process is none that serves others."""
        if not _module(current_process()).startswith(_SERVING):
            act(keeper)

    register_after_fork(keeper, forked)


def _method(process: Any) -> str:
    from multiprocessing import get_start_method

    return getattr(process, "_start_method", None) or str(get_start_method(allow_none=True))


def _module(process: Any) -> str:
    return str(getattr(getattr(process, "_target", None), "__module__", ""))


def _function(process: Any) -> str:
    """The name of what it runs; for torch's `spawn`, which wraps the function, that of the first argument."""
    target = getattr(process, "_target", None)
    if _module(process).startswith("torch.multiprocessing"):
        target = next(filter(callable, process._args), target)
    name = str(getattr(target, "__qualname__", type(process).__qualname__))
    return f"{module}.{name}" if (module := _module(process)).startswith(_SERVING) else name
