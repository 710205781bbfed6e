"""The two sides of an audit, and a program alone, as forks of processes that have imported torch."""

import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager

from tests.warm_python import LIBRARIES, WarmPython

from lastbit.script.audit.runs import INSTRUMENTS
from lastbit.script.launch import child_command


@contextmanager
def warm_start(*libraries):
    """Give a `start` for `audit`: each side is forked from a process of its own with its own seed of Python's hashes.

    Args:
        libraries: to import beforehand.

    A run without settings is that of the program alone.
    """
    libraries = (*LIBRARIES, INSTRUMENTS.partition(":")[0], *libraries)
    with ExitStack() as servers:
        sides = [servers.enter_context(closing(WarmPython(hash_seed=seed, libraries=libraries))) for seed in "12"]

        def start(run):
            command = child_command(run.target, INSTRUMENTS, run.settings)
            if not run.settings:
                command = [sys.executable, *run.target.words]
            with run.output.open("wb") as output:
                return sides[run.side].Popen(
                    command, env=run.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
                )

        yield start
