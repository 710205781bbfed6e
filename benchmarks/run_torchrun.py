"""How much longer a step of two ranks takes with what `lastbit run` puts into them, and whether controls hold.

Two ranks train the demo network on halves of each batch, with DistributedDataParallel on gloo. Four processes are
forked from one: two plain ranks, and two with the instruments of a trial. The two pairs take turns, an epoch of 32
steps each, and time it by the processor's time of both ranks. A ratio is taken within each turn, after one that warms
up; the table gives the median over the turns, with its quartiles. Then torchrun runs the ranks of a small training four
times under `lastbit run`: k = 1 twice and k = 2 must agree bit for bit, and k = 3 must not (not with --smoke).

    python benchmarks/run_torchrun.py [--turns 20] [--images 4000] [--smoke] [--json FILE]
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lastbit.noise import Noise
from lastbit.optimizers.family import build_optimizer
from lastbit.script.trial_process import further_instruments
from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import initial_network
from lastbit.training.task import Task, prepare
from options import parsed, parser_of, write
from run_overhead import HEADING, NOISES, Batches, Overhead, answer, in_turns

WORLD = 2
SCRIPT = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
net = torch.nn.parallel.DistributedDataParallel(net)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
inputs = torch.randn(64, 8)
for _ in range(30):
    part = torch.randperm(64)[rank::2]
    optimizer.zero_grad()
    (net(inputs[part]) - inputs[part].sum(1, keepdim=True).sin()).square().mean().backward()
    optimizer.step()
dist.destroy_process_group()
"""


def train(task: Task, noise: Noise | None, place: Path, rank: int, line: Connection) -> None:
    """Train the demo network as one rank, in a fork of the process."""
    (place / "output").mkdir(exist_ok=True)
    own = {"directory": str(place), "process": str(place / "processes" / str(rank)), "seed": 1, "snapshots": 10}
    with further_instruments({**own, "noise": dict(noise.as_json())}) if noise else nullcontext():
        dist.init_process_group("gloo", f"file://{place}/meet", rank=rank, world_size=WORLD)
        recipe = load_recipe("demo")
        model = DistributedDataParallel(initial_network(recipe, task))
        optimizer = build_optimizer(recipe.optimizer, model.parameters())
        answer(line, model, optimizer, (_part(rank, epoch) for epoch in task.epochs(seed=1)))
        dist.destroy_process_group()


def _part(rank: int, batches: Batches) -> Batches:
    return ((images[rank::WORLD], labels[rank::WORLD]) for images, labels in batches)


@contextmanager
def training(task: Task, noise: Noise | None) -> Iterator[Callable[[], float]]:
    """Two ranks in forks of this process; gives a function that lets them train for an epoch."""
    context = get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        lines, processes = [], []
        for rank in range(WORLD):
            ours, theirs = context.Pipe()
            processes.append(context.Process(target=train, args=(task, noise, Path(folder), rank, theirs)))
            processes[-1].start()
            lines.append(ours)

        def epoch() -> float:
            """Train for one more epoch; milliseconds a step of both ranks."""
            for line in lines:
                line.send(True)
            return sum(line.recv() for line in lines)

        yield epoch
        for line in lines:
            line.send(None)
        for process in processes:
            process.join()


def controls() -> dict[str, bool]:
    """Whether runs under torchrun that must agree bit for bit do, and whether k = 3 differs."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text(SCRIPT, encoding="utf-8")
        run = [sys.executable, "-m", "lastbit", "run", "--k", "1,3", "--out", "study", "--json", "-", "--"]
        launched = [*run, "torchrun", "--nproc-per-node", str(WORLD), "train.py"]
        results = json.loads(subprocess.run(launched, cwd=folder, check=True, capture_output=True).stdout)
    return {**results["controls"], "k_3_differs": results["rel_l1"][-1]["value"] > 0}


def main() -> None:
    """Print the table and the controls, and write them as JSON where asked to."""
    parser = parser_of(__doc__)
    parser.add_argument("--turns", type=int, default=20, help="timed epochs of each training (20)")
    parser.add_argument("--images", type=int, default=4000, help="that the demo trains on (4000: all)")
    arguments = parsed(parser, turns=2, images=256)
    torch.set_num_threads(1)
    task = prepare(load_recipe("demo", changes=(f"data.train={arguments.images}",)))
    rows = []
    print(HEADING)
    for noise in NOISES[: 1 if arguments.smoke else None]:
        row = Overhead.of(noise, in_turns(training(task, None), training(task, noise), arguments.turns))
        row.show()
        rows.append(asdict(row))
    held = {} if arguments.smoke else controls()
    for name, value in held.items():
        print(f"{name}: {'yes' if value else 'NO'}")
    write({"overhead": rows, "controls": held}, arguments.json)


if __name__ == "__main__":
    main()
