"""The environment variables of a trial's processes: threads, what must not change between trials, and free ports."""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
FIXED_VARIABLES = frozenset({*_THREADS, "PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG", "PYTHONUNBUFFERED"})
# For `python -c`, with the environment of the script's processes.
_PROBE = "from lastbit.execution.numerics import probe; print(probe())"
# torchrun then finds free ports itself, whatever the version; so does Accelerate, which calls it.
FREE_PORT = {"PET_STANDALONE": "1"}


def trial_environment(threads: int | None, *, watched: bool, free_port: bool) -> Mapping[str, str]:
    """The variables of this process with those of a trial.

    Args:
        threads: of each process; None leaves them as they are.
        watched: whether what is written is read while it is written, and so must not wait in a buffer.
        free_port: whether torchrun is to choose its ports, so that several trials can run at a time.
    """
    # The order of a set of strings must not change between trials; cuBLAS needs its workspace to repeat itself.
    fixed = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", **os.environ, "PYTHONHASHSEED": "0"}
    counted = {} if threads is None else dict.fromkeys(_THREADS, str(threads))
    # To a file Python writes in blocks, which nobody could watch.
    unbuffered = {"PYTHONUNBUFFERED": "1"} if watched else {}
    return {**fixed, **counted, **unbuffered, **(FREE_PORT if free_port else {})}


@lru_cache(maxsize=4)
def probed(environment: tuple[tuple[str, str], ...]) -> str:
    """The fingerprint of the numerics in a process with these variables; computed once for each set of them."""
    command = [sys.executable, "-P", "-c", _PROBE]  # -P: nothing in the present directory stands for ours
    ran = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    return ran.stdout.strip()
