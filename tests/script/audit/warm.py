"""The two sides of an audit, and a program alone, as forks of processes that have imported torch."""

import subprocess
import sys
from functools import partial

from lastbit.script.audit.runs import INSTRUMENTS
from lastbit.script.launch import child_command


def warm_start(python):
    """Give a `start` for `audit` of a `WarmPython`; a run without settings is that of the program alone."""
    return partial(_start, python)


def _start(python, run):
    command = child_command(run.target, INSTRUMENTS, run.settings)
    if not run.settings:
        command = [sys.executable, *run.target.words]
    with run.output.open("wb") as output:
        return python.Popen(
            command, env=run.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
