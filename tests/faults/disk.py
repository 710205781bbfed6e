"""Fills a small disk (a tmpfs, for which root is needed) under a study and counts what came of it.

    python tests/faults/disk.py --sizes 8

For each size of disk the study is run until it fails, the disk is made larger, and the same command is given again.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import kills

from lastbit.study.check import check_study

_COMMAND = [sys.executable, "-m", "lastbit", "study", *kills.STUDY, "--workers", "1"]


@dataclass
class Counts:
    """What came of all disks."""

    disks: int = 0
    full: int = 0  # runs that failed for lack of space
    tracebacks: int = 0  # of these, with a traceback on standard error
    unsound: int = 0  # studies in which `check` found damage while the disk was full
    different: int = 0  # studies that ended in other bytes than the undisturbed one


def measure(sizes: int) -> Counts:
    """Disks from nothing to as large as the study needs."""
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        whole, disk = Path(folder) / "whole", Path(folder) / "disk"
        subprocess.run([*_COMMAND, "--out", str(whole)], capture_output=True, check=True)
        needed = sum(file.stat().st_size for file in whole.rglob("*") if file.is_file())
        disk.mkdir()
        for number in range(sizes):
            _on_disk(disk, max(4096, needed * number // sizes), kills.results(whole), counts)
    return counts


def _on_disk(disk: Path, size: int, whole: dict[str, str], counts: Counts) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
    try:
        out = disk / "study"
        first = subprocess.run([*_COMMAND, "--out", str(out)], capture_output=True, text=True, check=False)
        counts.disks += 1
        counts.full += first.returncode != 0
        counts.tracebacks += "Traceback" in first.stderr
        if (out / "study.json").exists():
            counts.unsound += not check_study(out).is_sound
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
        subprocess.run([*_COMMAND, "--out", str(out)], capture_output=True, check=False)
        counts.different += kills.results(out) != whole
        print(first.returncode, first.stderr.strip()[-300:], file=sys.stderr)  # noqa: T201
    finally:
        subprocess.run(["umount", str(disk)], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, default=8)
    print(measure(parser.parse_args().sizes))  # noqa: T201
