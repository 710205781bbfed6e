"""How the processes that a program starts meet what is put into the first of them: by the environment they inherit.

`pass_on` puts a directory with a `sitecustomize` on PYTHONPATH, which Python imports at its start, and an order beside
it. That reaches what torchrun, Accelerate, Lightning and multiprocessing's spawn start, and what those start. A process
that is started with an environment of its own, or that is no Python, is not reached: it never registers, and the run
that started it says so. Each process that is reached has a directory, below one that the run's first process knows.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lastbit.script.startup.sitecustomize import ORDER
from lastbit.storage.files import read_json, to_json, write_atomically

PROCESSES = "processes"  # folder of the directories of a run's further processes
MEMBER = "member.json"
_STARTUP = str(Path(__file__).parent / "startup")
_PAUSE = 0.05  # seconds between two looks at processes that are to end
_LOOK = 1.0  # seconds between two looks at the process that started the run
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@dataclass(frozen=True)
class Running:
    """A process, told from a later one of the same number by when it was started."""

    process: int
    started: str  # empty where the system does not say

    @classmethod
    def of(cls, process: int) -> Running:
        """The process of a number."""
        return cls(process, _started(process))

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        try:
            os.kill(self.process, 0)
        except OSError:
            return False
        return _started(self.process) == self.started

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self.runs:
            with suppress(OSError):  # it has ended meanwhile
                os.kill(self.process, signal.SIGKILL)


@dataclass(frozen=True)
class Member(Running):
    """A process that met what was put into the run's first one."""

    words: str = ""  # its command line
    rank: int | None = None  # among the processes that train together
    world: int | None = None  # how many those are
    nodes: int = 1  # machines that they are on

    def write(self, directory: Path) -> None:
        """Register it in its directory."""
        write_atomically(directory / MEMBER, to_json(asdict(self)).encode())


def pass_on(instruments: str, settings: Mapping[str, Any], directory: Path) -> None:
    """Let every Python process that this one starts from now on call `instruments`, as soon as it imports torch.

    Args:
        instruments: `module:function`, called with the settings, among them the `process` directory of that process; it
            gives a context manager, which is entered then and left at the end of the process.
        settings: plain JSON.
        directory: of the run; the processes register below it.
    """
    (directory / PROCESSES).mkdir(exist_ok=True)
    os.environ[ORDER] = to_json(
        {
            "instruments": instruments,
            "settings": dict(settings),
            "directory": str(directory.absolute()),
            "starter": asdict(Running.of(os.getppid())),  # what waits for this process, and kills what it leaves
        }
    )
    # The empty word that a missing PYTHONPATH would leave stands for the present directory.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_STARTUP, os.environ.get("PYTHONPATH", ""))))


def join(order: str) -> None:
    """Put into this process what its run asks for; end it where that run is over."""
    asked = json.loads(order)
    directory = enter()
    module, _, function = asked["instruments"].partition(":")
    context = getattr(import_module(module), function)({**asked["settings"], "process": str(directory)})
    context.__enter__()
    atexit.register(context.__exit__, None, None, None)


def enter() -> Path:
    """Register this process with the run of its environment, and let it end with what started the run.

    Returns:
        Its own directory.
    """
    order = json.loads(os.environ[ORDER])
    place = Path(order["directory"]) / PROCESSES / str(os.getpid())
    try:
        place.mkdir(exist_ok=True)
    except FileNotFoundError:  # the run is over, and this process was left behind by one that was killed
        os._exit(1)
    this_member().write(place)
    threading.Thread(target=_end_with, args=(Running(**order["starter"]),), daemon=True).start()
    return place


def _end_with(starter: Running) -> None:
    # A death signal of the kernel would come when the thread ends that started this process, and not the process.
    while starter.runs:
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGKILL)


def this_member() -> Member:
    """This process, with its rank as far as it is known by now."""
    return Member(os.getpid(), _started(os.getpid()), " ".join(sys.orig_argv[1:]), **placed())


def placed() -> dict[str, Any]:
    """Rank, world and nodes of this process: those of torch's process group, or those that launchers set; else none."""
    nodes = _number("GROUP_WORLD_SIZE") or 1  # as torchrun calls the machines
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return {"rank": distributed.get_rank(), "world": distributed.get_world_size(), "nodes": nodes}
    world = _number("WORLD_SIZE")
    if world is None:
        return {}
    rank = _number("RANK")
    return {"rank": _number("LOCAL_RANK") if rank is None else rank, "world": world, "nodes": nodes}


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else None


def members(directory: Path) -> list[tuple[Path, Member]]:
    """The further processes of a run, each with its directory."""
    places = sorted((directory / PROCESSES).glob("*"), key=lambda place: int(place.name))
    return [(place, read_member(place)) for place in places if (place / MEMBER).is_file()]


def read_member(directory: Path) -> Member:
    """Read what `Member.write` kept in a directory."""
    return Member(**read_json(directory / MEMBER))


def end_members(directory: Path, grace: float) -> None:
    """Wait until a run's further processes have ended, and kill those that have not after so many seconds."""
    deadline = time.monotonic() + grace
    while running := [member for _, member in members(directory) if member.runs]:
        if time.monotonic() >= deadline:
            for member in running:
                member.kill()
        time.sleep(_PAUSE)


def _started(process: int) -> str:
    """When a process was started, in the kernel's clock; empty where nobody knows, `ended` for a dead one."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if fields[0] in "ZX" else fields[19]


def die_with_parent() -> None:
    """Let the kernel end this process once the thread that started it is gone; elsewhere than on Linux it goes on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
