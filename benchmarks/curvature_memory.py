"""Peak memory of a Hessian-vector product with micro-batches, beside that of a training step on one micro-batch.

Each figure is the peak resident size of a process of its own, less that of a process that only prepares: the network (a
convolutional one of three layers, 32 channels) and images of 32 x 32.

    python benchmarks/curvature_memory.py [--samples 512] [--micro-batch 128] [--runs 3] [--smoke] [--json FILE]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys

import torch
from torch import nn

from lastbit.curvature import HessianOperator
from options import parsed, parser_of, write

LOSS = nn.CrossEntropyLoss()


def network() -> nn.Sequential:
    """Three convolutions, as in a small image classifier."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.Tanh(), nn.Conv2d(32, 32, 3, padding=1), nn.Tanh()]
    return nn.Sequential(
        *layers, nn.Conv2d(32, 32, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 10)
    )


def work(kind: str, samples: int, micro_batch: int) -> None:
    """Do one thing and print the peak resident size of this process in MiB."""
    torch.set_num_threads(1)
    model, inputs, targets = network(), torch.randn(samples, 3, 32, 32), torch.randint(10, (samples,))
    if kind == "step":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            LOSS(model(inputs[:micro_batch]), targets[:micro_batch]).backward()
            optimizer.step()
    elif kind == "product":
        operator = HessianOperator(model, LOSS, (inputs, targets), micro_batch=micro_batch)
        vector = torch.randn(operator.size)
        for _ in range(3):
            vector = operator @ (vector / vector.norm())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peak(kind: str, samples: int, micro_batch: int) -> float:
    """The peak of a fresh process, in MiB."""
    command = [sys.executable, __file__, "--work", kind, "--samples", str(samples), "--micro-batch", str(micro_batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=512, help="images (512)")
    parser.add_argument("--micro-batch", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", choices=["idle", "step", "product"], help=argparse.SUPPRESS)
    options = parsed(parser, runs=1, samples=64, micro_batch=16)
    if options.work:
        work(options.work, options.samples, options.micro_batch)
        return
    kinds = ("idle", "step", "product")
    size = options.samples, options.micro_batch
    peaks = {kind: statistics.median(peak(kind, *size) for _ in range(options.runs)) for kind in kinds}
    step, product = peaks["step"] - peaks["idle"], peaks["product"] - peaks["idle"]
    print(f"idle process {peaks['idle']:.0f} MiB; above it: training step {step:.0f} MiB, product {product:.0f} MiB")
    write({"mib": peaks, "ratio_above_idle": product / step}, options.json)
    print(f"ratio above idle {product / step:.2f}; of whole processes {peaks['product'] / peaks['step']:.2f}")


if __name__ == "__main__":
    main()
