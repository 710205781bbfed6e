"""What proves the arithmetic of a script's processes."""

import subprocess
import sys
from functools import lru_cache

from lastbit.script.training import ScriptTraining
from lastbit.study import Trial

_PROGRAM = "from lastbit.execution.numerics import probe; print(probe())"


def prove_script(train: ScriptTraining, control: Trial) -> str | None:
    """Run a fixed computation in a process like those of the script's trials, once for this one, and hash its bits.

    A script cannot be begun for that and left, for nobody knows what it would leave behind.

    Args:
        train: the script; its environment is what counts.
        control: not used.
    """
    return _probed(tuple(sorted(train.environment().items())))


@lru_cache(maxsize=4)
def _probed(environment: tuple[tuple[str, str], ...]) -> str:
    command = [sys.executable, "-P", "-c", _PROGRAM]  # -P: nothing in the present directory stands for ours
    ran = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    return ran.stdout.strip()
