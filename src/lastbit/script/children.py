"""Processes that a program starts, where nothing of its training is seen."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lastbit.script.on_import import after_import

Tell = Callable[[str], None]

_WORDS = 6  # of a command line, which may be long
_LOADERS = "torch.utils.data"
# Programs also ask git, compilers and the system about this and that.
_MAY_TRAIN = ("python", "torchrun", "accelerate", "deepspeed", "lightning", "fabric", "mpi", "srun", "bash", "sh")
# These start the program that follows their own options.
_PASS_ON = (
    "env",
    "nohup",
    "nice",
    "ionice",
    "timeout",
    "time",
    "taskset",
    "numactl",
    "stdbuf",
    "setsid",
    "uv",
    "conda",
)


def on_every_child(tell: Tell) -> None:
    """Call `tell` with a description of each process that this one starts from now on and that may train.

    The workers of torch's data loaders are passed over: they prepare batches.

    Args:
        tell: given words such as `multiprocessing, spawn: worker`.
    """
    here = os.getpid()

    def started(event: str, args: tuple[Any, ...]) -> None:
        """Tell of a command."""
        if event in ("subprocess.Popen", "os.system", "os.posix_spawn") and os.getpid() == here:
            words = _words(args[0] if event == "os.system" else args[1])
            if any(word.startswith(_MAY_TRAIN) for word in _programs(words)):
                tell(" ".join(words[:_WORDS]))
        elif event == "os.fork" and os.getpid() == here:
            caller = sys._getframe(1)
            if not str(caller.f_globals.get("__name__")).startswith("multiprocessing"):  # which is told of beside this
                tell(f"os.fork: {caller.f_code.co_name}")

    sys.addaudithook(started)
    after_import("multiprocessing", lambda: _watch_processes(tell))


def _words(given: Any) -> list[str]:
    """Of a command line, the program without its directory."""
    words = given.split() if isinstance(given, str | bytes) else [os.fspath(word) for word in given]
    return [Path(os.fsdecode(words[0])).name, *map(os.fsdecode, words[1:])] if words else []


def _programs(words: list[str]) -> list[str]:
    """Those of the first words that may be the program: behind `A=1`, all that follow `env`, `nice` and the like."""
    found = [Path(word).name for word in words[:_WORDS] if "=" not in word and not word.startswith("-")]
    return found if found and found[0] in _PASS_ON else found[:1]


def _watch_processes(tell: Tell) -> None:
    from multiprocessing.process import BaseProcess

    here, start = os.getpid(), BaseProcess.start

    def start_and_tell(process: BaseProcess) -> None:
        """Tell of the process, and start it, which forgets what it is to do."""
        if os.getpid() == here and not _module(process).startswith(_LOADERS):
            tell(f"multiprocessing, {_method(process)}: {_function(process)}")
        start(process)

    BaseProcess.start = start_and_tell  # type: ignore[method-assign, assignment]


def _method(process: Any) -> str:
    from multiprocessing import get_start_method

    return getattr(process, "_start_method", None) or str(get_start_method(allow_none=True))


def _module(process: Any) -> str:
    return str(getattr(getattr(process, "_target", None), "__module__", ""))


def _function(process: Any) -> str:
    """The name of what it runs; of torch's `spawn`, which hands over a function of its own, the first argument's."""
    target = getattr(process, "_target", None)
    if _module(process).startswith("torch.multiprocessing"):
        target = next(filter(callable, process._args), target)
    return str(getattr(target, "__qualname__", type(process).__qualname__))
