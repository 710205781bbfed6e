"""How much longer the demo's network trains under `lastbit audit` than plainly.

Every round trains three times with the same script, in turn: alone, twice at the same time in two processes (what two
cores have to share), and under the audit, which is two processes in step. The script times its own steps after an epoch
that warms up, so imports do not count. A ratio is taken within a round; the table gives the median over the rounds.

    python benchmarks/audit_overhead.py [--rounds 7] [--epochs 3] [--steps 31] [--ways plain audit] [--smoke]
                                       [--json FILE]
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from lastbit.script import parse_target
from lastbit.script.audit.audit import audit
from options import parsed, parser_of, write

SCRIPT = """
import sys, time
import torch
from torch import nn
from lastbit.training.models.small import SmallCNN

torch.manual_seed(0)
epochs, steps = map(int, sys.argv[1:])
images, labels = torch.randn(128 * steps, 1, 28, 28), torch.randint(10, (128 * steps,))
model = SmallCNN(1, 10, nn.ReLU).to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
for epoch in range(1 + epochs):
    if epoch == 1:
        start = time.perf_counter()
    for batch in torch.randperm(128 * steps).split(128):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
        loss.backward()
        optimizer.step()
print((time.perf_counter() - start) / (steps * epochs))
"""
WAYS = ("plain", "two at once", "audit")


def seconds_a_step(way: str, epochs: int, steps: int, folder: Path) -> float:
    """Train once in one of the ways; the mean time of a step as the script's first process measured it."""
    command = [sys.executable, str(folder / "train.py"), str(epochs), str(steps)]
    if way == "audit":
        record = Path(tempfile.mkdtemp(dir=folder))
        found = audit(parse_target(command[1:]), record)
        assert found.deterministic, found.first_difference
        return float((record / "a" / "output.txt").read_text())
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(1 + (way != "plain"))]
    times = [float(run.communicate()[0]) for run in runs]
    return times[0]


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="trainings in each way (7)")
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs (3)")
    parser.add_argument("--steps", type=int, default=31, help="of an epoch (31)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="plain among them (all)")
    arguments = parsed(parser, rounds=1, epochs=1, steps=2, ways=["plain", "audit"])
    os.environ["OMP_NUM_THREADS"] = "1"
    taken: dict[str, list[float]] = {way: [] for way in arguments.ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(SCRIPT)
        for _ in range(arguments.rounds):
            for way in taken:
                taken[way].append(seconds_a_step(way, arguments.epochs, arguments.steps, folder))
    ratios = {way: [t / plain for t, plain in zip(taken[way], taken["plain"], strict=True)] for way in taken}
    write({"seconds_a_step": taken, "ratios": ratios}, arguments.json)
    if arguments.json == "-":
        return
    print(f"{'way':<12} {'ms a step':>9} {'ratio':>6} {'lowest':>7} {'highest':>8}   {arguments.rounds} rounds")
    for way in taken:
        print(
            f"{way:<12} {1e3 * statistics.median(taken[way]):>9.1f} {statistics.median(ratios[way]):>6.2f}"
            f" {min(ratios[way]):>7.2f} {max(ratios[way]):>8.2f}"
        )


if __name__ == "__main__":
    main()
