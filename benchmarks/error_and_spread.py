"""Does the error rate of two-class tasks predict how far their accuracies spread over runs?

Where an ensemble of runs is calibrated, runs of equal quality spread by √(error / 2n) (K. Jordan, arXiv 2304.01910, who
finds R² = 0.996 between predicted and seen variances of two-class tasks made of CIFAR-10's classes). Here the tasks are
all pairs of Fashion-MNIST's ten classes. A small network is trained on each until it knows its training images by
heart, 20 times with another initialisation and another order of the images. The runs of a task train side by side in
batched matrix products, on one thread.

    lastbit data fetch fashion-mnist
    python benchmarks/error_and_spread.py [--tasks 45] [--runs 20] [--smoke] [--json FILE|-]
"""

from itertools import combinations, pairwise

import numpy as np
import torch

from lastbit.statistics.examples import Correctness
from lastbit.statistics.luck import luck_if_calibrated
from lastbit.statistics.quality import quality
from lastbit.statistics.spread import OVER_SEEDS
from lastbit.training.data.loading import load
from options import parsed, parser_of, write

HIDDEN = (64, 64, 64)
BATCH, PEAK = 50, 0.02  # images in a batch, learning rate before its linear decay


def two_classes(dataset, pair, train):
    """Images of two classes, halved and as rows, with labels 0 and 1: the first `train` to train on, all to test."""
    parts = []
    for images, labels, most in (
        (dataset.train_images, dataset.train_labels, train),
        (dataset.test_images, dataset.test_labels, None),
    ):
        chosen = torch.isin(labels, torch.tensor(pair)).nonzero()[:most, 0]
        pixels = torch.nn.functional.avg_pool2d(images[chosen].float() / 255, 2).flatten(1)
        parts += [(pixels - 0.2860) / 0.3530, (labels[chosen] == pair[1]).long()]
    return parts


def trained(images, labels, *, runs, epochs, generator):
    """Weights and biases of networks, each from its own start and with its own order of the images."""
    widths = (images.shape[1], *HIDDEN, 2)
    weights = []
    for inputs, units in pairwise(widths):
        weights += [torch.randn(runs, inputs, units, generator=generator) * (2 / inputs) ** 0.5]
        weights += [torch.zeros(runs, 1, units)]
    weights = [weight.requires_grad_() for weight in weights]
    optimizer = torch.optim.SGD(weights, lr=PEAK, momentum=0.9, nesterov=True)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for _ in range(epochs):
        order = torch.rand(runs, len(images), generator=generator).argsort(1)
        for start in range(0, len(images) - BATCH + 1, BATCH):
            batch = order[:, start : start + BATCH]
            loss = torch.nn.functional.cross_entropy(
                outputs(weights, images[batch]).flatten(0, 1), labels[batch].flatten(), reduction="sum"
            )
            optimizer.zero_grad()
            (loss / BATCH).backward()  # a sum over runs, which share no weight
            optimizer.step()
            schedule.step()
    return [weight.detach() for weight in weights]


def outputs(weights, images):
    """Logits, shape (runs, images, 2), of images of shape (runs, images, pixels)."""
    for matrix, bias in zip(weights[::2], weights[1::2], strict=True):
        images = torch.baddbmm(bias, images if matrix is weights[0] else images.relu(), matrix)
    return images


def measured(dataset, pair, options, generator):
    """One task: its error rate, the spread over its runs, and what was to be expected."""
    images, labels, test, truth = two_classes(dataset, pair, options.train)
    weights = trained(images, labels, runs=options.runs, epochs=options.epochs, generator=generator)
    predicted = outputs(weights, test.expand(options.runs, *test.shape)).argmax(-1)
    right = 100.0 * (predicted == truth).double().numpy()[None]
    split = quality(Correctness(truth.numpy(), right), right.mean(-1), axis=OVER_SEEDS)
    known = outputs(weights, images.expand(options.runs, *images.shape)).argmax(-1) == labels
    error = float(100 - right.mean())
    return {
        "classes": [dataset.classes[label] for label in pair],
        "error": error,
        "training accuracy": 100 * float(known.double().mean()),
        "predicted": luck_if_calibrated(error, len(truth)),
        "seen": split.observed,
        "luck": split.luck,
        "quality": {"variance": split.variance, "lower": split.lower, "upper": split.upper},
    }


def agreement(predicted, seen):
    """Of variances: R² about the line of equality, squared correlation, and the ratio of their sums."""
    predicted, seen = np.square(predicted), np.square(seen)
    return {
        "R2 of equality": float(1 - np.sum((seen - predicted) ** 2) / np.sum((seen - seen.mean()) ** 2)),
        "squared correlation": float(np.corrcoef(predicted, seen)[0, 1] ** 2),
        "seen over predicted": float(seen.sum() / predicted.sum()),
    }


def attainable(predicted, runs, rounds=2000):
    """The median R² of equality if the prediction were the truth: variances over so few runs scatter about it."""
    generator = np.random.default_rng(20260101)
    factors = np.sqrt(generator.chisquare(runs - 1, (rounds, len(predicted))) / (runs - 1))
    return float(np.median([agreement(predicted, predicted * row)["R2 of equality"] for row in factors]))


def summary(tasks, runs):
    """How well the error predicts the spread over all tasks, and how well independent errors do."""
    column = {name: np.array([task[name] for task in tasks]) for name in ("predicted", "seen", "luck")}
    return {
        "error/2n against the spread seen": agreement(column["predicted"], column["seen"]),
        "error/2n against independent errors": agreement(column["predicted"], column["luck"]),
        "independent errors against the spread seen": agreement(column["luck"], column["seen"]),
        "R2 of equality if error/2n were the truth": attainable(column["predicted"], runs),
        "R2 of equality if independent errors were the truth": attainable(column["luck"], runs),
        "published R2 on CIFAR-10": 0.996,
        "quality above zero": float(np.mean([task["quality"]["lower"] > 0 for task in tasks])),
    }


def main():
    """Print the tasks, then how well the error predicts the spread, and how well independent errors do."""
    parser = parser_of(__doc__)
    parser.add_argument("--tasks", type=int, default=45)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--data", default="fashion-mnist")
    options = parsed(parser, tasks=3, runs=3, train=200, epochs=2, data="fashion-mini")
    torch.set_num_threads(1)
    dataset, generator = load(options.data), torch.Generator().manual_seed(20260101)
    tasks = []
    for pair in list(combinations(range(10), 2))[: options.tasks]:
        tasks.append(measured(dataset, pair, options, generator))
        if options.json != "-":
            task = tasks[-1]
            print(
                f"{' / '.join(task['classes']):28s} error {task['error']:5.2f} %, spread {task['seen']:.3f} points, "
                f"predicted {task['predicted']:.3f}, by independent errors {task['luck']:.3f}",
                flush=True,
            )
    found = summary(tasks, options.runs)
    write({**found, "tasks": tasks}, options.json)
    if options.json != "-":
        for name, figures in found.items():
            print(name, figures)


if __name__ == "__main__":
    main()
