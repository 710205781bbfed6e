"""A training that is measured in the middle of its epochs, and everything that is left behind at its end."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import lastbit as lb

LABELS = 3


def samples(count: int = 24) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(count, 4, generator=generator)
    return inputs, torch.randint(LABELS, (count,), generator=generator)


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.2), nn.Linear(5, LABELS))


@dataclass
class Training:
    """What is trained, what is measured, and what else is compared at the end."""

    loader: Iterable[Any]
    data: Any = None  # None: the loader itself
    model: nn.Module = field(default_factory=network)
    loss: Callable[[Any, Any], Tensor] = cross_entropy
    watched: Callable[[], object] = lambda: None
    step: Callable[["Training", Tensor, Tensor], None] | None = None


def plain_loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(*samples()), batch_size=6, shuffle=True)


def loader_with(**options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*samples()), **{"batch_size": 6, **options})


def bits_of(module: nn.Module) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in module.state_dict().values()]


def finished(training: Training, every: Any) -> tuple[dict[str, object], tuple[Any, ...]]:
    """Train, and return all that is left behind, and what was measured."""
    model, updates = training.model, 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    random.seed(2), np.random.seed(2), torch.manual_seed(2)  # noqa: NPY002
    data = training.loader if training.data is None else training.data
    monitor = lb.SharpnessMonitor(model, training.loss, data, optimizer, every or lb.every(1))
    if every:
        monitor.__enter__()
    order: list[list[float]] = []
    for _ in range(3):
        for inputs, targets in training.loader:
            order.append(inputs.flatten().tolist())
            optimizer.zero_grad()
            if training.step is None:
                training.loss(model(inputs), targets).backward()
            else:
                training.step(training, inputs, targets)
            optimizer.step()
            updates += 1
    monitor.__exit__(None, None, None)
    tensors = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters() if p.grad is not None)]
    kept = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    left = {
        "tensors": [tensor.detach().numpy().tobytes() for tensor in (*tensors, *kept)],
        "updates": updates,
        "order": order,
        "modes": [module.training for module in model.modules()],
        "flags": [p.requires_grad for p in model.parameters()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002
        "settings": (torch.is_grad_enabled(), torch.get_default_dtype(), torch.backends.cudnn.deterministic),
        "watched": training.watched(),
    }
    return left, monitor.rows


def assert_untouched(make: Callable[[], Training]) -> None:
    alone, _ = finished(make(), None)
    watched, rows = finished(make(), lb.every(3))
    assert len(rows) >= alone["updates"] // 3 > 0  # type: ignore[operator]
    assert all(row.converged for row in rows)
    assert {key for key in alone if alone[key] != watched[key]} == set()
