"""What a Dask cluster gains and costs: two worker processes against one, and what handing trials out takes.

Four measurements. The workers are started as by `lastbit worker`, of one thread each.

throughput  the demo's study on one worker and on two; asked for is 1.85 times the trials in a second.
overhead    trials that sleep ten seconds, on one worker: what a trial takes more than its ten seconds, from one's end
            to the next one's, what is stored included; asked for is below 2 %.
trivial     1,000 and 10,000 trials that log eight rows, on two workers: trials a second; the client's peak memory (its
            resident set, the scheduler's included), which must not grow with their number; how long it takes to list
            and to load them.
bits        what the bit fingerprint of a worker takes, beside a trial.

    python benchmarks/cluster_throughput.py [--only NAME] [--rounds 3] [--sizes 1000,10000] [--smoke]
                                            [--json FILE|-]
"""

import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from distributed import LocalCluster

import lastbit as lb
from lastbit.execution.cluster import cluster
from lastbit.execution.worker import WorkerPlace, serve_workers
from lastbit.noise import Scale
from lastbit.study.first_steps import first_steps_fingerprint
from lastbit.study.trial import Trial
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining
from options import parsed, parser_of, write

SPAWN = multiprocessing.get_context("spawn")
ASKED = {"speedup": 1.85, "overhead": 0.02}


@dataclass(frozen=True)
class Sleeps:
    """A trial of so many seconds; its first steps, which give its bit fingerprint, come before it sleeps."""

    seconds: float
    name: str = "sleeps"

    @property
    def settings(self):
        """What identifies it."""
        return {"name": self.name}

    def __call__(self, run):
        """Log enough for a bit fingerprint, and sleep."""
        for step in range(8):
            run.log(step, test_accuracy=50.0)
        time.sleep(self.seconds)


@contextmanager
def workers(count):
    """Give the address of a scheduler with so many workers, in processes of their own."""
    with LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0") as running:
        places = [WorkerPlace(f"worker-{i}", None) for i in range(count)]
        process = SPAWN.Process(target=serve_workers, args=(running.scheduler_address, places, _ready))
        process.start()
        try:
            while len(running.scheduler_info["workers"]) < count:
                time.sleep(0.1)
            yield running.scheduler_address
        finally:
            process.terminate()
            process.join(30)


def _ready():
    """Nothing to say."""


def demo_seconds(count):
    """Seconds that the demo's study takes on so many workers, their start and first imports left out."""
    with workers(count) as address, tempfile.TemporaryDirectory() as out, cluster(address) as executor:
        training = RecipeTraining(load_recipe("demo"))
        warm = [executor.submit_to(lambda w, a=w.address: w.address == a, _warm) for w in executor.workers()]
        for future in warm:
            future.result()
        study = lb.Study(Path(out) / "study", training, noises=[Scale(k) for k in (1, 3, 5, 7)], seeds=(1, 2, 3))
        begun = time.perf_counter()
        study.complete(executor)
        return time.perf_counter() - begun


def _warm():
    import torch._dynamo  # noqa: F401 - what the first optimizer of a process imports

    return os.getpid()


def throughput(rounds):
    """Two workers against one, in turn."""
    pairs = []
    for _ in range(rounds):
        pairs.append((demo_seconds(1), demo_seconds(2)))
        print(f"  demo: 1 worker {pairs[-1][0]:.1f} s, 2 workers {pairs[-1][1]:.1f} s", file=sys.stderr, flush=True)
    ratios = [one / two for one, two in pairs]
    return {
        "one_worker_seconds": statistics.median(one for one, _ in pairs),
        "two_workers_seconds": statistics.median(two for _, two in pairs),
        "speedup": statistics.median(ratios),
        "speedup_range": [min(ratios), max(ratios)],
        "asked": ASKED["speedup"],
    }


def overhead(seconds, trials=6):
    """From one trial's end to the next one's, on one worker."""
    ends = []
    with workers(1) as address, tempfile.TemporaryDirectory() as out, cluster(address) as executor:
        study = lb.Study(
            Path(out) / "study", Sleeps(seconds), noises=[Scale(1)], seeds=range(trials + 1), controlled=False
        )
        study.complete(executor, on_trial=lambda outcome: ends.append(time.perf_counter()))
    steps = [later - earlier for earlier, later in pairwise(ends)]
    return {
        "trial_seconds": seconds,
        "trials": len(steps),
        "median_seconds": statistics.median(steps),
        "overhead": statistics.median(steps) / seconds - 1,
        "largest_overhead": max(steps) / seconds - 1,
        "asked": ASKED["overhead"],
    }


def trivial(count):
    """So many trials that log one number, on two workers; in a fresh process, whose peak memory is theirs."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as process:
        return process.submit(_trivial, count).result()


def _trivial(count, at_work=2):
    with workers(at_work) as address, tempfile.TemporaryDirectory() as out, cluster(address) as executor:
        before = _resident_mib()
        study = lb.Study(Path(out) / "s", Sleeps(0.0), noises=[Scale(1)], seeds=range(count), controlled=False)
        begun = time.perf_counter()
        study.complete(executor)
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begun = time.perf_counter()
        left = len(study.pending())
        listed = time.perf_counter() - begun
        begun = time.perf_counter()
        values = study.grid().values("test_accuracy")
        loaded = time.perf_counter() - begun
        stored = next((Path(out) / "s" / "trials").iterdir())
        return {
            "trials": count,
            "left": left,
            "read": int((values == 50).sum()),
            "seconds": seconds,
            "trials_per_second": count / seconds,
            "client_mib_before": before,
            "client_peak_mib": peak,
            "list_seconds": listed,
            "load_seconds": loaded,
            "bytes_of_a_trial": sum(file.stat().st_size for file in stored.rglob("*") if file.is_file()),
            "files_of_a_trial": sum(file.is_file() for file in stored.rglob("*")),
        }


def _resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def bits():
    """Seconds of the bit fingerprint in a process that trains already, beside one trial of the demo."""
    from lastbit.study.training import run_trial

    training = RecipeTraining(load_recipe("demo"))
    with tempfile.TemporaryDirectory() as out:
        trial = Trial(training.settings, 1, Scale(1))
        begun = time.perf_counter()
        run_trial(training, trial, Path(out), "cpu")
        whole = time.perf_counter() - begun
    begun = time.perf_counter()
    first_steps_fingerprint(training, trial)
    seconds = time.perf_counter() - begun
    return {"bits_seconds": seconds, "trial_seconds": whole, "share": seconds / whole}


def main():
    """Measure, and print what was found as JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", choices=("throughput", "overhead", "trivial", "bits"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default="1000,10000")
    parser.add_argument("--seconds", type=float, default=10.0, help="that a trial of the overhead sleeps")
    options = parsed(parser, only="trivial", sizes="5")
    sizes = [int(size) for size in options.sizes.split(",")]
    measures = {
        "bits": bits,
        "overhead": lambda: overhead(options.seconds),
        "trivial": lambda: [_trivial(size, 1) if options.smoke else trivial(size) for size in sizes],
        "throughput": lambda: throughput(options.rounds),
    }
    found = {name: measure() for name, measure in measures.items() if options.only in (None, name)}
    write({"cores": os.cpu_count(), **found}, options.json or "-")


if __name__ == "__main__":
    main()
