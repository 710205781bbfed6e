"""kill -9 of a Dask scheduler, its workers and the client at random instants over a small study, counted.

    python tests/faults/cluster_kills.py --kills 100

As `kills.py`, with two worker processes of a cluster on this machine. Whatever was killed is started again before the
study's command is given again.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kills

from lastbit.storage.files import read_json

_WORKERS = 2
_DASK = (sys.executable, "-m", "dask")
_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class LocalCluster:
    """A scheduler and workers, each a process that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def mend(self) -> str:
        """Start what is not running; gives the scheduler's address."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self._file.unlink(missing_ok=True)
            arguments = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(self._file)]
            self.scheduler = subprocess.Popen([*_DASK, "scheduler", *arguments], **_QUIET)
            self._end_workers()  # they belong to the old one
        while (address := self._address()) is None:
            time.sleep(0.05)
        alive = [worker for worker in self.workers if worker.poll() is None]
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
        missing = range(_WORKERS - len(alive))
        self.workers = [*alive, *(subprocess.Popen([*_DASK, "worker", address, *options], **_QUIET) for _ in missing)]
        return address

    def _address(self) -> str | None:
        """What the scheduler wrote down; None until it has, which it does not do in one step."""
        try:
            return str(read_json(self._file)["address"])
        except (OSError, ValueError):
            return None

    def end(self) -> None:
        """Kill all of it."""
        self._end_workers()
        if self.scheduler is not None:
            self.scheduler.kill()
            self.scheduler.wait()

    def _end_workers(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers = []


@contextmanager
def local_cluster(folder: Path) -> Iterator[LocalCluster]:
    """A cluster that ends with the block."""
    cluster = LocalCluster(folder)
    try:
        yield cluster
    finally:
        cluster.end()


def start(out: Path, address: str) -> subprocess.Popen[bytes]:
    """Begin or go on with the study."""
    return kills.begin(out, "--scheduler", address)


def kill(client: subprocess.Popen[bytes], cluster: LocalCluster, chance: random.Random) -> str | None:
    """Kill one of the three kinds; None where the client had ended before."""
    if client.poll() is not None:
        return None
    name, victim = chance.choice(
        [("client", client), ("scheduler", cluster.scheduler), ("worker", chance.choice(cluster.workers))]
    )
    victim.kill()
    return name


def disturbed(
    out: Path, cluster: LocalCluster, number: int, longest: float, chance: random.Random, counts: kills.Counts
) -> Iterator[str]:
    """Run a study to its end with so many kills on the way; gives each as it happens."""
    left = number
    while True:
        before, client = kills.stored(out), start(out, cluster.mend())
        counts.starts += 1
        if left:
            time.sleep(chance.uniform(0, longest))
            if (name := kill(client, cluster, chance)) is not None:
                left -= 1
                counts.kills[name] += 1
                yield name
        code = kills.ended(client, out)
        after = kills.stored(out)
        counts.rewritten += sum(after.get(path) != inode for path, inode in before.items())
        if code == 0:
            return


def measure(number: int, seed: int, counts: kills.Counts) -> None:
    """Do rounds of about five kills until there were so many."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, local_cluster(Path(folder)) as cluster:
        address, begun = cluster.mend(), time.monotonic()
        kills.ended(start(Path(folder) / "whole", address), Path(folder) / "whole")
        longest = time.monotonic() - begun
        whole = kills.results(Path(folder) / "whole")
        while (left := number - counts.kills.total()) > 0:
            out = Path(folder) / f"study{counts.studies}"
            for name in disturbed(out, cluster, min(5, left), longest, chance, counts):
                print(f"{counts.kills.total()} of {number}: {name}", file=sys.stderr, flush=True)  # noqa: T201
            kills.take(out, whole, counts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = kills.Counts()
    try:
        measure(options.kills, options.seed, found)
    finally:
        print(found)  # noqa: T201
