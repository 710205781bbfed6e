"""What recording a trace costs: CPU time of a training step against a plain one, and bytes on disk for each operation.

Every round takes the same step twice in one process, plainly and recorded, so both meet the same machine; a ratio is
taken within a round, of CPU time (all threads), after steps that warm up. The table gives the median over the rounds.
Bytes count all that is written in a step, divided by its operations; an operation on a list of n tensors, as those of
foreach optimizers, counts once in the first figure and n times in the second.

    python benchmarks/trace_recording.py [--rounds 9] [--threads 1] [--smoke] [--json FILE]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import optimizer as optimizers

from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.recorder import TraceMode
from lastbit.script.trace.records import FORMAT, TraceHeader
from lastbit.script.trace.writer import TraceWriter
from lastbit.training.models.small import SmallCNN
from options import parsed, parser_of, write

HEADER = TraceHeader(FORMAT, (), {}, {}, {}, 0, 1, None, "")
Step = Callable[[], None]


class Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer))
        same = inner == outer
        self.shortcut = nn.Identity() if same else nn.Conv2d(inner, outer, 1, stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply it."""
        return torch.relu(self.second(self.first(inputs)) + self.shortcut(inputs))


def resnet(width: int) -> nn.Module:
    """A ResNet for images of 32 x 32 pixels."""
    blocks = [Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2)]
    stem = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10))


class LanguageModel(nn.Module):
    """A decoder of a transformer."""

    def __init__(self, width: int, layers: int, words: int = 512) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.1, batch_first=True, norm_first=True)
        self.embed = nn.Embedding(words, width)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, words)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next words, in one row."""
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.head(self.layers(self.embed(tokens), mask=mask, is_causal=True)).flatten(0, 1)


def cases(smoke: bool) -> Iterator[tuple[str, Step]]:
    """Names of networks with their optimizers, and a training step of each."""
    batch, width, layers = (4, 8, 1) if smoke else (64, 256, 4)
    images, labels = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))
    for foreach in (False, True):
        model = resnet(8 if smoke else 48)
        name = f"ResNet, Adam {'foreach' if foreach else 'for-loop'}"
        yield name, step_of(model, torch.optim.Adam(model.parameters(), foreach=foreach), images, labels)
    tokens = torch.randint(512, (8, 16 if smoke else 128))
    model = LanguageModel(width, layers)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    yield "transformer, AdamW for-loop", step_of(model, optimizer, tokens, torch.randint(512, (tokens.numel(),)))
    model = LanguageModel(64, layers)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    tokens = tokens[:, :32]
    yield "small transformer, AdamW", step_of(model, optimizer, tokens, torch.randint(512, (tokens.numel(),)))
    model = SmallCNN(1, 10, nn.ReLU).to(memory_format=torch.channels_last)
    images, labels = torch.randn(2 * batch, 1, 28, 28), torch.randint(10, (2 * batch,))
    yield (
        "demo's CNN, channels last, SGD",
        step_of(model, torch.optim.SGD(model.parameters(), 0.1, 0.9), images, labels),
    )


def step_of(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, labels: Tensor) -> Step:
    """A training step on one batch."""

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    return step


def cpu_seconds(step: Step) -> float:
    """The CPU time of all threads in a step."""
    begun = time.process_time()
    step()
    return time.process_time() - begun


def measure(step: Step, rounds: int, path: Path) -> dict[str, float]:
    """CPU time, ratio and bytes of a case."""
    writer = TraceWriter(path, HEADER)
    mode = TraceMode(writer)

    def recorded() -> None:
        with mode:
            step()
        writer.flush()

    hook = optimizers.register_optimizer_step_pre_hook(
        lambda optimizer, *_: mode.names.begin_update(optimizer, sys._getframe(1))
    )
    for _ in range(2):
        step()
        recorded()
    before = path.stat().st_size, writer.records
    pairs = [(cpu_seconds(step), cpu_seconds(recorded)) for _ in range(rounds)]
    size, count = path.stat().st_size - before[0], writer.records - before[1]
    hook.remove()
    tensors = sum(max(1, len(record.outputs)) for record in read_trace(path).records[before[1] :])
    ratios = [slow / plain for plain, slow in pairs]
    return {
        "milliseconds": 1e3 * statistics.median(plain for plain, _ in pairs),
        "operations": count / rounds,
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "bytes_an_operation": size / count,
        "bytes_a_tensor": size / tensors,
    }


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="pairs of steps (9)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (1)")
    arguments = parsed(parser, rounds=1)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, step) in enumerate(cases(arguments.smoke)):
            figures[name] = measure(step, arguments.rounds, Path(folder, f"{number}.trace"))
    write(figures, arguments.json)
    if arguments.json == "-":
        return
    names = ("ratio", "lowest", "highest", "B/op", "B/tensor")
    print(f"{'case':<32} {'ms a step':>9} {'operations':>10} {' '.join(f'{name:>8}' for name in names)}")
    for name, row in figures.items():
        ratios = " ".join(f"{row[key]:>8.2f}" for key in ("ratio", "lowest", "highest"))
        size = f"{row['bytes_an_operation']:>8.0f} {row['bytes_a_tensor']:>8.0f}"
        print(f"{name:<32} {row['milliseconds']:>9.1f} {row['operations']:>10.0f} {ratios} {size}")


if __name__ == "__main__":
    main()
