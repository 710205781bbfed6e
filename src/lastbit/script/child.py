"""The process a program runs in: how it is started, and what it does first."""

import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from importlib import import_module
from typing import Any

from lastbit.script.launch import launch
from lastbit.script.target import Target, target_from_json
from lastbit.storage.files import to_json

# `-c` puts the present directory first in the search path, where a file of the user's could stand for one of ours.
_BOOTSTRAP = "import sys; sys.flags.safe_path or sys.path.pop(0); from lastbit.script.child import main; main()"


def child_command(target: Target, instruments: str, settings: Mapping[str, Any]) -> list[str]:
    """The command line of a Python process that runs `target` with instruments; everything else is the caller's choice.

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
