"""Run the benchmarks, each in a process of its own, and keep their figures in `results/benchmarks.json`.

    python benchmarks/run.py                  # all: hours
    python benchmarks/run.py step_overhead    # one or several; the others' figures stay as they are
    python benchmarks/run.py --smoke          # all with the smallest settings: do they still run? Nothing is kept

What is kept is measured by one benchmark at a time. A smoke run measures nothing: two run at once, each with one
thread, and what they say is shown in the order of their names. A benchmark is a file in this folder with `--smoke` and
`--json FILE` (see `options.py`). Its figures are kept with its seconds, the machine and the versions that it ran with.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "benchmarks.json"
HELPERS = {"options", "run", *(path.stem for path in HERE.glob("rounding_or_bug_*.py"))}
VARIANTS = {"rounding_or_bug_second": ("rounding_or_bug", "--set", "second")}  # files that are run again, with options
AT_ONCE = 2  # benchmarks of a smoke run
PACKAGES = ("lastbit", "torch", "numpy", "scipy")


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted([*(path.stem for path in HERE.glob("[a-z]*.py") if path.stem not in HELPERS), *VARIANTS])


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def surroundings() -> dict[str, Any]:
    """The machine, and the versions of what is measured."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "none"
    machine = {"processor": processor(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}
    return {"date": datetime.now(UTC).date().isoformat(), "machine": machine, "versions": versions}


def run(name: str, *, smoke: bool) -> tuple[dict[str, Any] | None, str]:
    """Run a benchmark: its figures with its seconds, or None where it failed; and what is to be said of it."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        file, *options = [*VARIANTS.get(name, (name,)), *(["--smoke"] if smoke else [])]
        command = [sys.executable, str(HERE / f"{file}.py"), "--json", str(figures), *options]
        environment = os.environ | ({"OMP_NUM_THREADS": "1"} if smoke else {})
        begun = time.perf_counter()
        # Only what fails in the smoke run is shown; a run that is kept is followed as it goes.
        done = subprocess.run(command, check=False, capture_output=smoke, text=True, env=environment)
        seconds = time.perf_counter() - begun
        if done.returncode == 0 and figures.is_file():
            measured = {"seconds": round(seconds, 1), "figures": json.loads(figures.read_text(encoding="utf-8"))}
            return measured, f"{name:22} {seconds:7.1f} s"
    return None, f"{name:22} FAILED with status {done.returncode}\n{done.stdout or ''}{done.stderr or ''}"


def keep(name: str, measured: dict[str, Any]) -> None:
    """Put a benchmark's figures in the place of its last ones."""
    stored = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    stored[name] = measured | surroundings()
    RESULTS.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    """Run what is asked for; the exit status is 1 where a benchmark failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; all by default")
    parser.add_argument("--smoke", action="store_true", help="the smallest settings, two at once; nothing is kept")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(names())}")
    asked = options.names or names()
    failed = []
    one = partial(run, smoke=options.smoke)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        outcomes = threads.map(one, asked) if options.smoke else map(one, asked)
        for name, (measured, said) in zip(asked, outcomes, strict=True):
            print(said, flush=True)
            if measured is None:
                failed.append(name)
            elif not options.smoke:
                keep(name, measured)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
