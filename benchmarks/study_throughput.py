"""A study on single-thread workers against the plain way, side by side in one run.

The plain way is the usual script: six networks, one for each k, stepped one after another on the batches of one
DataLoader without workers, in one process with torch's default number of threads. Both train the same recipe on the
same images for the same number of steps and evaluate after each epoch; the study also keeps weights and checksums,
and its time includes starting its workers.

    python benchmarks/study_throughput.py [--rounds 3] [--workers 2] [--json FILE|-]
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

import lastbit as lb
from lastbit.execution.pool import local_pool
from lastbit.training.catalogue import load_recipe
from lastbit.training.data import load
from lastbit.training.network import build_model
from lastbit.training.optimizer import build_optimizer, build_schedule
from lastbit.training.recipe_training import RecipeTraining
from lastbit.training.task import PADDING

KS = (1, 3, 5, 7, 9, 11)
CASES = {
    "demo": ("demo", ("measure.fluctuation_epochs=9",), 2.0),
    "resnet56-cifar10": (
        "resnet56-cifar10",
        ("data.train=1536", "data.test=512", "epochs=1", "schedule.milestones=[]", "measure.snapshot_epochs=1"),
        1.5,
    ),
}


class Images(Dataset):
    """One image at a time, prepared as it is asked for."""

    def __init__(self, images, labels, settings, *, augment):
        self.images, self.labels, self.augment = images, labels, augment
        self.mean = torch.tensor(settings.mean).view(-1, 1, 1)
        self.std = torch.tensor(settings.std).view(-1, 1, 1)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = self.images[index]
        if self.augment:
            height, width = image.shape[1:]
            top, left, mirrored = (int(torch.randint(0, n, ())) for n in (2 * PADDING + 1, 2 * PADDING + 1, 2))
            image = functional.pad(image, (PADDING,) * 4)[:, top : top + height, left : left + width]
            image = image.flip(-1) if mirrored else image
        return (image.float() / 255 - self.mean) / self.std, int(self.labels[index])


def plain_way(recipe):
    """Six networks in one process on one DataLoader's batches."""
    data, settings = load(recipe.data.name), recipe.data
    train = Images(data.train_images[: settings.train], data.train_labels, settings, augment=settings.augment)
    train.labels = data.train_labels[: settings.train]
    test = Images(data.test_images[: settings.test], data.test_labels[: settings.test], settings, augment=False)
    model = {"channels": data.train_images.shape[1], "classes": 10, "seed": 0, "dtype": torch.float32}
    nets = [build_model(recipe.model, **model) for _ in KS]
    optimizers = [
        lb.perturb(build_optimizer(recipe.optimizer, net.parameters()), lb.Scale(k))
        for net, k in zip(nets, KS, strict=True)
    ]
    schedules = [build_schedule(recipe.schedule, optimizer) for optimizer in optimizers]
    for _ in range(recipe.epochs):
        for images, labels in DataLoader(train, batch_size=recipe.batch_size, shuffle=True):
            for net, optimizer in zip(nets, optimizers, strict=True):
                optimizer.zero_grad()
                functional.cross_entropy(net(images), labels).backward()
                optimizer.step()
        for net, schedule in zip(nets, schedules, strict=True):
            schedule.step()
            accuracy(net, test)


@torch.no_grad()
def accuracy(net, test):
    """Percent of the test set that a network gets right."""
    net.eval()
    right = sum(int((net(images).argmax(1) == labels).sum()) for images, labels in DataLoader(test, batch_size=500))
    net.train()
    return 100 * right / len(test)


def as_a_study(recipe, workers):
    """The same six networks as trials of a study, without the control runs."""
    with tempfile.TemporaryDirectory() as out, local_pool(workers) as pool:
        training = RecipeTraining(recipe)
        noises = [lb.Scale(k) for k in KS]
        lb.Study(Path(out) / "study", training, noises=noises, seeds=[1], controlled=False).run(pool)


def seconds(function, *arguments):
    """Wall time of a call."""
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


def measure(name, rounds, workers):
    """Time both ways in turn; give medians and the ratio pair by pair."""
    source, changes, aim = CASES[name]
    recipe = load_recipe(source, changes=changes)
    pairs = []
    for _ in range(rounds):
        pairs.append((seconds(plain_way, recipe), seconds(as_a_study, recipe, workers)))
        print(f"  {name}: plain {pairs[-1][0]:.1f} s, study {pairs[-1][1]:.1f} s", file=sys.stderr, flush=True)
    ratios = [plain / study for plain, study in pairs]
    return {
        "recipe": name,
        "changes": list(changes),
        "plain_seconds": statistics.median(plain for plain, _ in pairs),
        "study_seconds": statistics.median(study for _, study in pairs),
        "speedup": statistics.median(ratios),
        "speedup_range": [min(ratios), max(ratios)],
        "aim": aim,
    }


def main():
    """Measure every case and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--case", choices=sorted(CASES), action="append")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    rows = [measure(name, options.rounds, options.workers) for name in options.case or sorted(CASES)]
    machine = {"processor": platform.processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    if options.json == "-":
        print(json.dumps({"machine": machine, "rows": rows}, indent=1))
        return
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))
    print(f"{options.workers} workers of one thread against one process of {machine['threads']} threads")
    print(f"{'recipe':<18}{'plain':>9}{'study':>9}{'speedup':>9}{'range':>14}{'aim':>7}")
    for row in rows:
        low, high = row["speedup_range"]
        print(
            f"{row['recipe']:<18}{row['plain_seconds']:>7.1f} s{row['study_seconds']:>7.1f} s{row['speedup']:>8.2f}x"
            f"{f'{low:.2f}-{high:.2f}':>14}{row['aim']:>6.1f}x"
        )


if __name__ == "__main__":
    main()
