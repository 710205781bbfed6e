"""How fast the one-layer network is: against its bare FFTs, against im2col, and a phase map against single runs.

    python benchmarks/pde.py [--cells 40] [--rounds 10] [--smoke] [--json FILE]

Everything runs on one thread and is measured in processor time, which other programs
hardly disturb. What is compared is measured in turns, each turn long enough to have the caches to itself, and medians
are compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lastbit.pde import OneLayerCNN, checkerboard, noise, phase, random_kernel, simulate
from options import parsed, parser_of, write

Array = NDArray[np.float64]

TURN = 0.1


def medians(rounds: int, **tasks: Callable[[], object]) -> dict[str, float]:
    """Return the median processor seconds of each task, over turns of at least `TURN` seconds."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            times[name] += turn(task)
    return {name: statistics.median(values) for name, values in times.items()}


def turn(task: Callable[[], object]) -> list[float]:
    """Run a task once uncounted unless it fills the turn, then until the turn is over; return the times that count."""
    times: list[float] = []
    while sum(times) < TURN:
        begin = time.process_time()
        task()
        times.append(time.process_time() - begin)
    return times[1:] or times


def report(label: str, ratio: float, target: str, met: bool) -> None:
    """Print a ratio beside its target."""
    print(f"  {label}: {ratio:.2f}x ({target}: {'met' if met else 'MISSED'})")


def all_patches(image: Array, side: int) -> Array:
    """Return the im2col matrix of a valid correlation, (M, W^2)."""
    return np.lib.stride_tricks.sliding_window_view(image, (side, side)).reshape(-1, side * side)


def im2col_gradient(patches: Array, kernel: Array, weight_decay: float) -> Array:
    """Return the gradient of the mean-pooled network, label 1, beta 1, from the im2col matrix."""
    z = patches @ kernel.ravel()
    s = 1.0 / (1.0 + np.exp(-z))
    residual = 1.0 / (1.0 + np.exp(-(z * s).mean())) - 1.0
    pulled = (s + z * s * (1.0 - s)) @ patches
    return residual / len(z) * pulled.reshape(kernel.shape) + weight_decay * kernel


def benchmark_step(rounds: int) -> dict[str, float]:
    """Measure one step of gradient descent on a 256 x 256 image with a 32 x 32 kernel, float64; return the ratios."""
    net, kernel = OneLayerCNN(noise(256, 0), 32, pool="mean"), random_kernel(32, 7)
    field, spectrum = np.array(net.image), scipy.fft.rfft2(net.image)
    expected = im2col_gradient(all_patches(net.image, 32), kernel, 20.0)
    np.testing.assert_allclose(net.gradient(kernel, 20.0), expected, rtol=1e-8, atol=1e-9)

    def step() -> Array:
        return kernel - 0.07 * net.gradient(kernel, 20.0)

    def im2col_step() -> Array:
        return kernel - 0.07 * im2col_gradient(all_patches(net.image, 32), kernel, 20.0)

    def four_ffts() -> None:
        for _ in range(2):
            scipy.fft.rfft2(field)
            scipy.fft.irfft2(spectrum)

    found = medians(rounds, step=step, ffts=four_ffts, im2col=im2col_step)
    print("One step of the one-layer network, image 256, kernel 32, float64")
    print(f"  step {found['step'] * 1e3:.2f} ms, four bare 256 x 256 real FFTs {found['ffts'] * 1e3:.2f} ms")
    ratios = {"step_to_ffts": found["step"] / found["ffts"], "im2col_to_step": found["im2col"] / found["step"]}
    report("step / four bare FFTs", ratio := ratios["step_to_ffts"], "at most 2x", ratio <= 2.0)
    print(f"  im2col step {found['im2col'] * 1e3:.0f} ms")
    report("im2col step / step", ratio := ratios["im2col_to_step"], "at least 100x", ratio >= 100.0)
    return ratios


def benchmark_phase(name: str, image: Array, lr: Array, weight_decay: Array, *, sample: int, rounds: int) -> float:
    """Measure a phase map against single runs of a random sample of its cells; return how many times faster it is."""
    net, kernel = OneLayerCNN(image, 8, pool="mean"), random_kernel(8, 7)
    cells = [(float(rate), float(decay)) for rate in lr for decay in weight_decay]
    drawn = np.random.RandomState(0).permutation(len(cells))[:sample]

    def single_runs() -> None:
        for index in drawn:
            simulate(net, kernel, lr=cells[index][0], weight_decay=cells[index][1])

    found = medians(rounds, phase=lambda: phase(net, kernel, lr=lr, weight_decay=weight_decay), singles=single_runs)
    singles = found["singles"] / sample * len(cells)
    print(f"Phase map of {lr.size} x {weight_decay.size} cells, {name} of size 64, kernel 8, 1,000 steps")
    print(f"  phase {found['phase']:.1f} s; as many single runs {singles:.0f} s, from a sample of {sample}")
    report("single runs / phase", ratio := singles / found["phase"], "at least 8x", ratio >= 8.0)
    return ratio


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="turns of each kind of step (10); a third of it of maps")
    parser.add_argument("--cells", type=int, default=40, help="learning rates, and weight decays, of a phase map (40)")
    parser.add_argument("--sample", type=int, default=40, help="cells that are run singly (40)")
    options = parsed(parser, rounds=1, cells=4, sample=2)
    maps = {
        "checkerboard": (checkerboard(64), np.linspace(0.005, 0.3, options.cells), np.linspace(1, 40, options.cells)),
        "noise": (noise(64, 3), np.geomspace(0.1, 30, options.cells), np.linspace(0.01, 1, options.cells)),
    }
    rounds = max(1, options.rounds // 3)
    with threadpool_limits(1):
        figures = benchmark_step(options.rounds)
        for name, (image, lr, weight_decay) in maps.items():
            figures[f"single_runs_to_phase_{name}"] = benchmark_phase(
                name, image, lr, weight_decay, sample=options.sample, rounds=rounds
            )
    write(figures, options.json)


if __name__ == "__main__":
    main()
