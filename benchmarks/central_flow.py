"""The central flow beside descent and the gradient flow, on a small network trained past its edge.

128 points, a network 8-16-16-1 with Swish, lr 0.1, in float64 on one thread: the setting of the example of Cohen et
al. (2025), with targets of our own. Descent and both flows start from the same weights. Printed
are the distances of both flows from descent in the weights, and from its average over the last fifty steps; the
loss that the central flow predicts against that of descent, over windows and all steps past the edge; processor time.

    python benchmarks/central_flow.py [--steps 1000] [--smoke] [--json FILE]
"""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.nn.utils import parameters_to_vector

from lastbit.curvature import CentralFlow
from lastbit.training.gradient_flow import GradientFlow
from options import parsed, parser_of, write

LR, AVERAGED, WINDOW = 0.1, 50, 101


@dataclass(frozen=True)
class Beside:
    """Descent and both flows after so many steps."""

    steps: int
    edge_at: int  # the first step at which the flow oscillates; -1: none
    central: float  # distance of the central flow from descent at the end, in the weights' norm
    gradient: float  # of the gradient flow
    central_average: float  # the same from descent's average over the last steps
    gradient_average: float
    sharpness: float  # of the central flow, times lr, at the end
    window_error: float  # median over windows past the edge: |mean predicted loss / mean loss - 1|
    whole_error: float  # over all steps past the edge
    seconds: float  # processor time of the central flow


def flat(weights: Iterable[Tensor]) -> Tensor:
    """All weights as one vector."""
    return parameters_to_vector(weights).detach()


def beside(steps: int) -> Beside:
    """Train and follow."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(128, 8, generator=generator, dtype=torch.float64)
    targets = torch.sin(2 * inputs[:, :1]) + inputs[:, 1:2] * inputs[:, 2:3] / 2
    torch.manual_seed(0)
    layers = [nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 1)]
    model = nn.Sequential(*layers).double()
    central, gradient = (
        CentralFlow(model, mse_loss, (inputs, targets), LR),
        GradientFlow(model, mse_loss, (inputs, targets)),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    losses, predicted, edge_at, seconds = [], [], -1, 0.0
    average, count = torch.zeros_like(flat(model.parameters())), 0
    for step in range(steps + 1):
        started = time.process_time()
        point = central.advance(step)
        seconds += time.process_time() - started
        edge_at = step if edge_at < 0 and point.oscillates else edge_at
        optimizer.zero_grad()
        loss = mse_loss(model(inputs), targets)
        losses.append(loss.item())
        predicted.append(point.predicted_loss)
        if step > steps - AVERAGED:
            average, count = average + flat(model.parameters()), count + 1
        if step < steps:
            loss.backward()
            optimizer.step()
    gradient.advance(LR * steps)
    ends = [flat(flow.weights.values()) for flow in (central, gradient)]
    apart = [float((flat(model.parameters()) - end).norm()) for end in ends]
    averaged = [float((average / count - end).norm()) for end in ends]
    window, whole = errors(np.array(losses), np.array(predicted), edge_at)
    return Beside(steps, edge_at, *apart, *averaged, point.sharpness * LR, window, whole, seconds)


def errors(losses: np.ndarray, predicted: np.ndarray, edge_at: int) -> tuple[float, float]:
    """Of the predicted loss past the edge: the median over windows, and over all of it."""
    past, expected = losses[edge_at:], predicted[edge_at:]
    if edge_at < 0 or len(past) < WINDOW:
        return float("nan"), float("nan")
    kernel = np.ones(WINDOW) / WINDOW
    ratio = np.convolve(expected, kernel, "valid") / np.convolve(past, kernel, "valid")
    return float(np.median(np.abs(ratio - 1))), abs(float(expected.mean() / past.mean() - 1))


def main() -> None:
    """Follow, and print the table, or JSON."""
    parser = parser_of(__doc__ or "")
    parser.add_argument("--steps", type=int, default=1000, help="of descent (1000)")
    arguments = parsed(parser, steps=5)
    torch.set_num_threads(1)
    found = beside(arguments.steps)
    write(asdict(found), arguments.json)
    if arguments.json == "-":
        return
    for name, value in asdict(found).items():
        print(f"{name:<18} {value:.4g}")


if __name__ == "__main__":
    main()
