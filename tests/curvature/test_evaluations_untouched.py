"""A training goes on bit for bit after a measurement, whatever state its model and its loss change when they run."""

import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.checkpoint import checkpoint
from watched_training import LABELS, Training, assert_untouched, bits_of, loader_with, network, plain_loader, samples

import lastbit as lb

TEACHER: nn.Module = nn.Identity()
CALLS = 0


def teacher() -> nn.Module:
    """Another network, left in training mode."""
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(LABELS, 4), nn.BatchNorm1d(4), nn.Dropout(0.1), nn.ReLU()).requires_grad_(False)


def through(network: nn.Module, outputs: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(outputs, targets) + 0.1 * network(outputs).square().mean()


def perceptual(kind: str) -> Training:
    other = teacher()

    def closure(outputs: Tensor, targets: Tensor) -> Tensor:
        return through(other, outputs, targets)

    class Bound:
        def __init__(self) -> None:
            self.networks = {"one": [other]}

        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return through(self.networks["one"][0], outputs, targets)

    def by_global(outputs: Tensor, targets: Tensor) -> Tensor:
        return through(TEACHER, outputs, targets)

    globals()["TEACHER"] = other
    losses = {
        "closure": closure,
        "bound method": Bound().loss,
        "partial": functools.partial(through, other),
        "global": by_global,
        "default": lambda outputs, targets, network=other: through(network, outputs, targets),
    }
    return Training(plain_loader(), loss=losses[kind], watched=lambda: (bits_of(other), other.training))


@pytest.mark.parametrize("kind", ["closure", "bound method", "partial", "global", "default"])
def test_another_network_that_the_loss_goes_through_stays_as_it_is(kind: str) -> None:
    assert_untouched(lambda: perceptual(kind))


def collecting() -> Training:
    model, seen, count = network(), [], {"forward": 0, "backward": 0}

    def forward_hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        seen.append(output.detach().sum().item())
        count["forward"] += 1

    def backward_hook(module: nn.Module, inputs: Any, outputs: Any) -> None:
        count["backward"] += 1

    model[0].register_forward_hook(forward_hook)
    model[4].register_full_backward_hook(backward_hook)
    return Training(plain_loader(), model=model, watched=lambda: (seen, count))


class Moving(nn.Module):
    """A loss with a running mean, a counter and a cache of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(LABELS))
        self.calls, self.cache = 0, {}

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.calls += 1
        self.cache.setdefault(len(outputs), self.calls)
        loss = cross_entropy(outputs - self.center, targets)
        self.center.mul_(0.9).add_(outputs.detach().mean(0), alpha=0.1)
        return loss


def moving() -> Training:
    loss = Moving()
    return Training(plain_loader(), loss=loss, watched=lambda: (bits_of(loss), loss.calls, dict(loss.cache)))


def counted(outputs: Tensor, targets: Tensor) -> Tensor:
    global CALLS
    CALLS += 1
    counted.calls = getattr(counted, "calls", 0) + 1  # type: ignore[attr-defined]
    return cross_entropy(outputs, targets)


def with_globals() -> Training:
    global CALLS
    CALLS = 0
    vars(counted).clear()
    return Training(plain_loader(), loss=counted, watched=lambda: (CALLS, dict(vars(counted))))


class Normalising(nn.Module):
    """A loss that writes to weights of its own when it is called."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.weight = nn.Parameter(torch.randn(LABELS, LABELS), requires_grad=False)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.weight.data = nn.functional.normalize(self.weight.data * 1.1)
        return cross_entropy(outputs @ self.weight, targets)


def normalising() -> Training:
    loss = Normalising()
    return Training(plain_loader(), loss=loss, watched=lambda: bits_of(loss))


class Odd(nn.Module):
    """Writes to what it is given, counts, caches, and recomputes its activations."""

    total = 0

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls = network(), 0

    def forward(self, inputs: Tensor) -> Tensor:
        Odd.total += 1
        self.calls += 1
        self.last = inputs.mean().item()
        inputs.mul_(0.5)
        return checkpoint(self.inner, inputs, use_reentrant=False)  # type: ignore[no-any-return]


def odd() -> Training:
    Odd.total = 0
    model, batch = Odd(), samples()
    return Training(
        plain_loader(), batch, model, watched=lambda: (Odd.total, model.calls, model.last, batch[0].sum().item())
    )


def spectral() -> Training:
    model = network()
    nn.utils.parametrizations.spectral_norm(model[0])
    nn.utils.spectral_norm(model[4])
    return Training(plain_loader(), model=model)


def in_bfloat16(training: Training, inputs: Tensor, targets: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = training.model(inputs)
    training.loss(outputs.float(), targets).backward()


def drawing_loader() -> Training:
    """A training that draws from every generator, measured on a fixed batch."""

    def collate(rows: list[Any]) -> Any:
        inputs = torch.stack([row[0] for row in rows]) * random.random() + np.random.rand()  # noqa: NPY002
        return inputs, torch.stack([row[1] for row in rows])

    return Training(loader_with(shuffle=True, collate_fn=collate), data=samples())


SITUATIONS: dict[str, Callable[[], Training]] = {
    "hooks that collect": collecting,
    "a loss with a state": moving,
    "counters in globals": with_globals,
    "a loss that writes to its weights": normalising,
    "a model that writes to its inputs": odd,
    "spectral norm": spectral,
    "autocast": lambda: Training(plain_loader(), step=in_bfloat16),
    "draws of numpy and Python": drawing_loader,
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_any_state_that_an_evaluation_moves_is_put_back(name: str) -> None:
    assert_untouched(SITUATIONS[name])


def test_a_loss_that_reads_on_is_refused() -> None:
    references = iter([torch.zeros(LABELS)] * 40)
    generated = (torch.zeros(LABELS) for _ in range(40))
    for source in (references, generated):
        loss = functools.partial(
            lambda source, outputs, targets: mse_loss(outputs, next(source).expand_as(outputs)), source
        )
        with pytest.raises(lb.LastbitError, match="cannot be put back"):
            lb.SharpnessTracker(network().eval(), loss, samples()).measure()


def test_batch_normalisation_of_another_network_in_training_mode_is_named() -> None:
    with pytest.raises(
        lb.LastbitError, match=r"another network that the loss goes through .BatchNorm1d. is in training"
    ):
        lb.SharpnessTracker(network().eval(), functools.partial(through, nn.BatchNorm1d(LABELS)), samples()).measure()
    with pytest.raises(lb.LastbitError, match=r"draws random numbers .in another network: Dropout"):
        lb.SharpnessTracker(network().eval(), functools.partial(through, nn.Dropout()), samples()).measure()


def test_default_device_and_type_do_not_matter() -> None:
    model, data = network().eval(), samples()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    exact = lb.SharpnessTracker(model, cross_entropy, data).measure().sharpness
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    try:
        with lb.SharpnessMonitor(model, cross_entropy, data, optimizer, k=2) as monitor:
            measured = [monitor.measure().sharpness, monitor.measure().sharpness]
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert measured == pytest.approx([exact, exact], rel=1e-3)


def test_training_over_processes_goes_on() -> None:
    """The wrapper's forward talks to the other processes; a measurement does not go through it."""
    distributed = torch.distributed
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        assert_untouched(lambda: Training(plain_loader(), model=nn.parallel.DistributedDataParallel(network())))
    finally:
        distributed.destroy_process_group()
