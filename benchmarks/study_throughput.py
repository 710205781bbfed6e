"""A study's six networks on single-thread workers against the plain way and against the floor, side by side in one run.

The plain way is the usual script: six networks, one for each k, stepped one after another on the batches of one
DataLoader without workers, in one process with torch's default number of threads. The floor is what cannot be saved:
the same steps and evaluations of the same six networks on one thread, channels last, with torch's own optimizer, on
batches that lie ready.

All three train the same recipe on as many images for as many steps and evaluate after each epoch; none measures the
gradient fluctuation. The study also starts its workers, keeps weights and checksums, and perturbs the updates; that is
what it costs. Speed-ups are of wall time; the ratio to the floor is of processor time, of all processes together.

    python benchmarks/study_throughput.py [--rounds 3] [--workers 2] [--case demo] [--networks 6] [--smoke]
                                          [--json FILE|-]
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

import lastbit as lb
from lastbit.execution.numerics import repeatable_numerics
from lastbit.execution.pool import local_pool
from lastbit.optimizers.family import build_optimizer
from lastbit.training.catalogue import load_recipe
from lastbit.training.data import load
from lastbit.training.loop import build_schedule, recipe_stepper
from lastbit.training.network import build_model
from lastbit.training.recipe_training import RecipeTraining
from lastbit.training.task import PADDING, prepare
from options import parsed, parser_of, write

UNMEASURED = "measure.fluctuation_epochs=1000000"  # beyond every epoch
CASES = {
    "demo": ("demo", (UNMEASURED,), 2.0),
    "resnet56-cifar10": (
        "resnet56-cifar10",
        (
            *("data.train=1536", "data.test=512", "epochs=1", "schedule.milestones=[]"),
            *("measure.snapshot_epochs=1", UNMEASURED),
        ),
        1.5,
    ),
}
SMOKE = {
    "demo": ("data.train=256", "data.test=128", "epochs=1", "schedule.milestones=[]"),
    "resnet56-cifar10": (
        *("data.name=fashion-mini", "data.mean=[0.286]", "data.std=[0.353]", "model.name=resnet8"),
        *("data.train=256", "data.test=128"),
    ),
}


class Images(Dataset):
    """One image at a time, prepared as it is asked for."""

    def __init__(self, images, labels, settings, *, augment):
        self.images, self.labels, self.augment, self.pad = images, labels, augment, settings.pad
        self.mean = torch.tensor(settings.mean).view(-1, 1, 1)
        self.std = torch.tensor(settings.std).view(-1, 1, 1)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = functional.pad(self.images[index], (self.pad,) * 4)
        if self.augment:
            height, width = image.shape[1:]
            top, left, mirrored = (int(torch.randint(0, n, ())) for n in (2 * PADDING + 1, 2 * PADDING + 1, 2))
            image = functional.pad(image, (PADDING,) * 4)[:, top : top + height, left : left + width]
            image = image.flip(-1) if mirrored else image
        return (image.float() / 255 - self.mean) / self.std, int(self.labels[index])


def plain_way(recipe, ks):
    """Train all networks in one process on one DataLoader's batches."""
    data, settings = load(recipe.data.name), recipe.data
    images, labels = data.train_images[: settings.train], data.train_labels[: settings.train]
    train = Images(images, labels, settings, augment=settings.augment)
    test = Images(data.test_images[: settings.test], data.test_labels[: settings.test], settings, augment=False)
    shape, classes = tuple(train[0][0].shape), len(data.classes)
    nets = [build_model(recipe.model, shape=shape, classes=classes, seed=0, dtype=torch.float32) for _ in ks]
    optimizers = [
        lb.perturb(build_optimizer(recipe.optimizer, net.parameters()), lb.Scale(k))
        for net, k in zip(nets, ks, strict=True)
    ]
    schedules = [build_schedule(recipe.schedule, optimizer) for optimizer in optimizers]
    for _ in range(recipe.epochs):
        for inputs, targets in DataLoader(train, batch_size=recipe.batch_size, shuffle=True):
            for net, optimizer in zip(nets, optimizers, strict=True):
                optimizer.zero_grad()
                functional.cross_entropy(net(inputs), targets).backward()
                optimizer.step()
        for net, schedule in zip(nets, schedules, strict=True):
            schedule.step()
            accuracy(net, DataLoader(test, batch_size=500))


@torch.no_grad()
def accuracy(net, batches):
    """Percent of the test set that a network gets right."""
    net.eval()
    right = [net(images).argmax(1) == labels for images, labels in batches]
    net.train()
    return 100 * float(torch.cat(right).double().mean())


def as_a_study(recipe, ks, workers):
    """Train the same networks as trials of a study, without the control runs."""
    with tempfile.TemporaryDirectory() as out, local_pool(workers) as pool:
        noises = [lb.Scale(k) for k in ks]
        lb.Study(Path(out) / "study", RecipeTraining(recipe), noises=noises, seeds=[1], controlled=False).run(pool)


class Floor:
    """The bare steps and evaluations of the networks; what `prepare` does is not counted."""

    def __init__(self, recipe, ks):
        self.recipe, task = recipe, prepare(recipe)
        self.train, self.test = list(next(task.epochs(1))), list(task.test_batches())
        self.steppers = [recipe_stepper(recipe, task) for _ in ks]

    def run(self):
        """Train all, one after another, on one thread."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        with repeatable_numerics():
            for stepper in self.steppers:
                for _ in range(self.recipe.epochs):
                    for batch in self.train:
                        stepper.take(batch)
                    accuracy(stepper.model, self.test)
        torch.set_num_threads(threads)


def cost(function, *arguments):
    """Wall time of a call, and processor time of this process and of the children that ended in it."""
    wall, before = time.perf_counter(), os.times()
    function(*arguments)
    return time.perf_counter() - wall, sum(os.times()[:4]) - sum(before[:4])


def measure(name, rounds, ks, workers, *, smoke):
    """Time all three in turn; give medians, and ratios round by round."""
    source, changes, aim = CASES[name]
    changes = (*changes, *(SMOKE[name] if smoke else ()))
    recipe = load_recipe(source, changes=changes)
    timed = []
    for _ in range(rounds):
        plain, study = cost(plain_way, recipe, ks), cost(as_a_study, recipe, ks, workers)
        timed.append((plain, study, cost(Floor(recipe, ks).run)))
        text = ", ".join(
            f"{what} {wall:.1f} s ({processor:.1f} core-seconds)"
            for what, (wall, processor) in zip(("plain", "study", "floor"), timed[-1], strict=True)
        )
        print(f"  {name}: {text}", file=sys.stderr, flush=True)
    speedups = [plain[0] / study[0] for plain, study, _ in timed]
    over_floor = [study[1] / floor[1] for _, study, floor in timed]
    middle = {
        what: [statistics.median(times[i][j] for times in timed) for j in (0, 1)]
        for i, what in enumerate(("plain", "study", "floor"))
    }
    return {
        "recipe": name,
        "changes": list(changes),
        **{f"{what}_seconds": wall for what, (wall, _) in middle.items()},
        **{f"{what}_core_seconds": processor for what, (_, processor) in middle.items()},
        "speedup": statistics.median(speedups),
        "speedup_range": [min(speedups), max(speedups)],
        "aim": aim,
        "over_floor": statistics.median(over_floor),
        "over_floor_range": [min(over_floor), max(over_floor)],
    }


def show(rows, threads, workers):
    """Print the table."""
    print(f"{workers} workers of one thread against one process of {threads} threads")
    print(f"{'recipe':<18}{'plain':>9}{'study':>9}{'speedup':>9}{'range':>14}{'aim':>7}{'over floor':>12}{'range':>14}")
    for row in rows:
        ranges = ["{:.2f}-{:.2f}".format(*row[key]) for key in ("speedup_range", "over_floor_range")]
        print(
            f"{row['recipe']:<18}{row['plain_seconds']:>7.1f} s{row['study_seconds']:>7.1f} s{row['speedup']:>8.2f}x"
            f"{ranges[0]:>14}{row['aim']:>6.1f}x{row['over_floor']:>11.2f}x{ranges[1]:>14}"
        )


def main():
    """Measure every case and print a table, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--case", choices=sorted(CASES), action="append")
    parser.add_argument("--networks", type=int, default=6, help="one for each k: 1, 3, 5 and so on (6)")
    options = parsed(parser, rounds=1, workers=1, networks=2)
    ks = range(1, 2 * options.networks, 2)
    cases = options.case or sorted(CASES)
    rows = [measure(name, options.rounds, ks, options.workers, smoke=options.smoke) for name in cases]
    threads = torch.get_num_threads()
    write({"workers": options.workers, "threads": threads, "rows": rows}, options.json)
    if options.json != "-":
        show(rows, threads, options.workers)


if __name__ == "__main__":
    main()
