"""One thread for every test process: pytest-xdist fills the cores, and more threads only wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from hypothesis import settings
from tests.browser import browser  # noqa: F401  # one for all folders: two in one process exclude each other

torch.set_num_threads(1)
# Machines that run tests are shared: an example's duration says nothing.
settings.register_profile("lastbit", deadline=None)
settings.load_profile("lastbit")


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
