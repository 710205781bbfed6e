"""kill -9 at random instants over a small study, and counts what came of it.

    python tests/faults/kills.py --kills 100

Each round starts the study in a fresh directory with two workers, kills the parent or a worker at a random instant,
starts it again, and so on until it ends. Then: is every stored file the same byte for byte as in an undisturbed study,
was any trial lost, was any that was stored run again?
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lastbit.study.check import check_study

STUDY = (
    "demo",
    "--scale",
    "smoke",
    "--set",
    "data.train=256",
    "--set",
    "data.test=100",
    "--k",
    "1,3",
    "--seeds",
    "1-2",
)
LIMIT = 240.0  # seconds that one start may take


@dataclass
class Counts:
    """What came of all rounds."""

    kills: Counter[str] = field(default_factory=Counter)  # by whom it hit
    starts: int = 0
    studies: int = 0
    different: int = 0  # studies with a stored file unlike the undisturbed one's
    lost: int = 0  # trials missing in the end
    rewritten: int = 0  # stored trials that were stored once more
    unsound: int = 0  # studies that `check` complains of


def start(out: Path) -> subprocess.Popen[bytes]:
    """Begin or go on with the study."""
    return begin(out, "--workers", "2")


def begin(out: Path, *workers: str) -> subprocess.Popen[bytes]:
    """Start the study's command; what it says goes into a file beside its directory."""
    command = [sys.executable, "-m", "lastbit", "study", *STUDY, *workers, "--out", str(out)]
    options = ["--checkpoint-every", "1", "--json", os.devnull]
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    with out.with_suffix(".said").open("wb") as said:
        return subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=said, env=environment)


def ended(process: subprocess.Popen[bytes], out: Path) -> int:
    """The exit status of a start, once it has ended; one that takes too long is made to say where it stands.

    Raises:
        TimeoutExpired: it took longer than the limit.
    """
    try:
        return process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # Python's fault handler prints the stack of each thread
        process.wait(LIMIT)
        print(out.with_suffix(".said").read_text(), file=sys.stderr)  # noqa: T201
        raise


def children(process: int) -> list[int]:
    """Process ids of the workers, by /proc."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text().split()]


def results(out: Path) -> dict[str, str]:
    """Hash of every file of the finished trials, and of the results."""
    files = [*(out / "trials").rglob("*"), out / "results.json"]
    return {str(file.relative_to(out)): _hash(file) for file in files if file.is_file()}


def stored(out: Path) -> dict[Path, int]:
    """Finished trials, with what changes if one is stored again."""
    return {path: path.stat().st_ino for path in (out / "trials").glob("*/done.json")}


def kill(process: subprocess.Popen[bytes], chance: random.Random) -> str | None:
    """Kill the parent or one of its workers; None where it had ended before."""
    if process.poll() is not None:
        return None
    workers = children(process.pid)
    victim, name = (chance.choice(workers), "worker") if workers and chance.random() < 0.5 else (process.pid, "parent")
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return name


def disturbed(out: Path, kills: int, longest: float, chance: random.Random, counts: Counts) -> Iterator[str]:
    """Run a study to its end with so many kills on the way; gives each as it happens."""
    left = kills
    while True:
        before = stored(out)
        process = start(out)
        counts.starts += 1
        if left:
            time.sleep(chance.uniform(0, longest))
            if (name := kill(process, chance)) is not None:
                left -= 1
                counts.kills[name] += 1
                yield name
        code = ended(process, out)
        after = stored(out)
        counts.rewritten += sum(after.get(path) != inode for path, inode in before.items())
        if code == 0:
            return


def measure(kills: int, seed: int) -> Counts:
    """Do rounds of about five kills until there were so many."""
    chance, counts = random.Random(seed), Counts()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        ended(start(Path(folder) / "whole"), Path(folder) / "whole")
        longest = time.monotonic() - begun
        whole = results(Path(folder) / "whole")
        while (left := kills - counts.kills.total()) > 0:
            out = Path(folder) / f"study{counts.studies}"
            for name in disturbed(out, min(5, left), longest, chance, counts):
                print(f"{counts.kills.total()} of {kills}: {name}", file=sys.stderr, flush=True)  # noqa: T201
            take(out, whole, counts)
    return counts


def take(out: Path, whole: dict[str, str], counts: Counts) -> None:
    """Count how a disturbed study ended beside the undisturbed one."""
    found = results(out)
    counts.studies += 1
    counts.different += found != whole
    counts.lost += len(whole.keys() - found.keys())
    counts.unsound += not check_study(out).is_sound


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(measure(options.kills, options.seed))  # noqa: T201
