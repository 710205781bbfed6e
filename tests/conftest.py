"""One thread for every test process: pytest-xdist fills the cores, and more threads only wait for each other."""

import os
import subprocess

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings
from tests.browser import browser  # noqa: F401  # one for all folders: two in one process exclude each other
from tests.warm_python import WarmContext, WarmPython

from lastbit.execution import pool
from lastbit.script import environment, processes
from lastbit.script.audit import runs
from lastbit.script.trace import recording

torch.set_num_threads(1)
REAL_WORKERS = pool._SPAWN
STARTING = (environment, processes, runs, recording)  # each starts Python by `subprocess`
# Machines that run tests are shared: an example's duration says nothing.
settings.register_profile("lastbit", deadline=None)
settings.load_profile("lastbit")


@pytest.fixture(scope="session")
def warm_python():
    """Starts Python programs in milliseconds, in processes that have imported torch: see `WarmPython`."""
    python = WarmPython()
    yield python
    python.close()


@pytest.fixture(scope="session", autouse=True)
def _warm_processes(warm_python):
    """Workers, the trials of scripts, their probe, the two runs of an audit and a recording start in milliseconds."""
    patch = pytest.MonkeyPatch()
    patch.setattr(pool, "_SPAWN", WarmContext(warm_python))
    for module in STARTING:
        patch.setattr(module, "subprocess", warm_python.subprocess)
    yield
    patch.undo()


@pytest.fixture
def real_processes(monkeypatch):
    """For what a start by `python` itself could change: the processes start as they do for users."""
    monkeypatch.setattr(pool, "_SPAWN", REAL_WORKERS)
    for module in STARTING:
        monkeypatch.setattr(module, "subprocess", subprocess)


def pytest_terminal_summary(terminalreporter):
    """Say how long the paper's items took at the smoke scale, and how many inputs were fuzzed, where they were run."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "paper-smoke-seconds":
                terminalreporter.write_line(f"paper: all items at scale smoke took {value:.0f} s of one core")
    ended = [report for kind in ("", "passed") for report in terminalreporter.getreports(kind)]
    counts = [value for report in ended for name, value in report.user_properties if name == "fuzz-inputs"]
    if counts:
        terminalreporter.write_line(f"fuzz: {sum(counts):,} inputs by {len(counts)} fuzzers")
