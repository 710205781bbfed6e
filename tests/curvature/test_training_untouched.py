"""A training with a monitor in the middle of its epochs ends bit for bit as without, whatever it is made of."""

import functools
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset, Sampler, TensorDataset

import lastbit as lb
from lastbit.curvature.loss import loader

LABELS = 3
UPDATES = 12


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


class Counting(Sampler[int]):
    """Another order at every pass, which it counts."""

    def __init__(self, size: int) -> None:
        self.size, self.passes, self.numbers = size, 0, np.random.default_rng(3)

    def __iter__(self) -> Iterator[int]:
        self.passes += 1
        yield from self.numbers.permutation(self.size).tolist()

    def __len__(self) -> int:
        return self.size


class Endless:
    """Batches of indices that go on from pass to pass."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(4):
            yield [(self.at + offset) % 24 for offset in range(6)]
            self.at += 6


class Remembering(Dataset[Any]):
    """Samples that are counted, kept once they are read, and drawn from a generator of its own for nothing."""

    def __init__(self) -> None:
        self.inputs, self.targets = samples()
        self.reads, self.kept, self.numbers = 0, {}, random.Random(7)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Any:
        self.reads += 1
        self.numbers.random()
        return self.kept.setdefault(index, (self.inputs[index], self.targets[index]))


class Stream(IterableDataset[Any]):
    """Samples of a file, in an order that the number of the pass decides."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.passes, self.all = file, 0, samples()

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        self.file.seek(0)
        lines = [int(line) for line in self.file]
        for index in lines[self.passes % 24 :] + lines[: self.passes % 24]:
            yield self.all[0][index], self.all[1][index]


class Stateful:
    """A loader that can be stopped and resumed: it knows where it is, and iterating starts over."""

    def __init__(self) -> None:
        self.at, self.epoch, self.batches = 0, 0, [tuple(part.split(6)) for part in samples()]

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at, "epoch": self.epoch}

    def __iter__(self) -> Iterator[Any]:
        self.epoch, self.at = self.epoch + 1, 0
        while self.at < 4:
            self.at += 1
            yield [part[self.at - 1] for part in self.batches]


class Wrapped:
    """Somebody's wrapper around a loader."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        for inputs, targets in self.loader:
            yield inputs * 2, targets


class Scaled(DataLoader[Any]):
    """A loader whose own iteration changes batches."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for inputs, targets in super().__iter__():
            yield inputs * 2, targets


class Repeating(DataLoader[Any]):
    """A loader that keeps its workers by never ending, as some programs have one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        object.__setattr__(self, "batch_sampler", itertools.cycle(list(self.batch_sampler)))
        self.iterator = super().__iter__()

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return (next(self.iterator) for _ in range(4))


def loader_with(**options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*samples()), **{"batch_size": 6, **options})


def counting() -> Training:
    sampler = Counting(24)
    return Training(
        loader_with(sampler=sampler), watched=lambda: (sampler.passes, str(sampler.numbers.bit_generator.state))
    )


def distributed() -> Training:
    sampler = DistributedSampler(range(24), num_replicas=2, rank=1, shuffle=True, seed=3)
    return Training(loader_with(sampler=sampler, batch_size=3), watched=lambda: sampler.epoch)


def endless() -> Training:
    sampler = Endless()
    loader = DataLoader(TensorDataset(*samples()), batch_sampler=sampler)  # type: ignore[arg-type]
    return Training(loader, watched=lambda: sampler.at)


def remembering() -> Training:
    dataset = Remembering()
    return Training(
        DataLoader(dataset, 6), watched=lambda: (dataset.reads, list(dataset.kept), dataset.numbers.getstate())
    )


def own_generator() -> Training:
    generator = torch.Generator().manual_seed(1)
    loader = loader_with(shuffle=True, generator=generator, drop_last=True, batch_size=5)
    return Training(loader, watched=lambda: generator.get_state().tolist())


def stream(file: TextIO) -> Training:
    dataset = Stream(file)
    return Training(DataLoader(dataset, 6), watched=lambda: (dataset.passes, dataset.file.tell()))


def stateful() -> Training:
    loader = Stateful()
    return Training(loader, watched=loader.state_dict)


def in_memory() -> Training:
    return Training(plain_loader(), data=samples())


LOADERS: dict[str, Callable[[], Training]] = {
    "one batch": in_memory,
    "shuffling": lambda: Training(plain_loader()),
    "persistent workers": lambda: Training(loader_with(num_workers=1, persistent_workers=True)),
    "workers, shuffling": lambda: Training(loader_with(num_workers=1, shuffle=True)),
    "wrapper of persistent workers": lambda: Training(Wrapped(loader_with(num_workers=1, persistent_workers=True))),
    "generator of its own": own_generator,
    "sampler with a state": counting,
    "distributed sampler": distributed,
    "batches that go on": endless,
    "data set with a state": remembering,
    "stateful loader": stateful,
    "subclass that changes batches": lambda: Training(Scaled(TensorDataset(*samples()), 6, shuffle=True)),
    "subclass that never ends": lambda: Training(Repeating(TensorDataset(*samples()), 6)),
    "a batch for an index": lambda: Training(loader_with(batch_size=None, sampler=[slice(0, 6), slice(6, 18)])),
}


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


@pytest.mark.parametrize("name", LOADERS)
def test_any_loader_goes_on_as_if_nobody_had_looked(name: str) -> None:
    assert_untouched(LOADERS[name])


def test_a_stream_from_a_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("\n".join(map(str, range(24))))
    with ExitStack() as files:
        assert_untouched(lambda: stream(files.enter_context(path.open())))


TEACHER: nn.Module = nn.Identity()
CALLS = 0


def teacher() -> nn.Module:
    """Another network, left in training mode."""
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(LABELS, 4), nn.BatchNorm1d(4), nn.Dropout(0.1), nn.ReLU()).requires_grad_(False)


def through(network: nn.Module, outputs: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(outputs, targets) + 0.1 * network(outputs).square().mean()


def bits_of(module: nn.Module) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in module.state_dict().values()]


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


def test_a_prepared_loader_leaves_gradient_accumulation_alone() -> None:
    accelerate = pytest.importorskip("accelerate")

    def updates(monitored: bool) -> tuple[int, list[bytes]]:
        accelerate.state.AcceleratorState._reset_state(True)
        accelerate.state.GradientState._reset_state()
        torch.manual_seed(0)
        accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
        net, count = nn.Linear(4, LABELS), []
        plain = torch.optim.SGD(net.parameters(), lr=0.1)
        model, optimizer, loader = accelerator.prepare(
            net, plain, DataLoader(TensorDataset(*samples(30)), 6, shuffle=True)
        )
        plain.register_step_post_hook(lambda *_: count.append(1))
        monitor = lb.SharpnessMonitor(net, cross_entropy, loader, plain, lb.every(2))
        if monitored:
            monitor.__enter__()
        for _ in range(3):
            for inputs, targets in loader:
                with accelerator.accumulate(model):
                    accelerator.backward(cross_entropy(model(inputs), targets))
                    optimizer.step()
                    optimizer.zero_grad()
        monitor.__exit__(None, None, None)
        assert len(monitor.rows) == (4 if monitored else 0)
        return len(count), bits_of(net)

    assert updates(monitored=True) == updates(monitored=False)


def test_a_loader_gives_the_value_of_its_samples_in_one_batch() -> None:
    """Whatever its order, and of batches that are measured in pieces as well."""
    model, (inputs, targets) = network().eval(), samples()
    exact = lb.SharpnessTracker(model, cross_entropy, (inputs, targets), tol=1e-5).measure().sharpness
    generator = torch.Generator().manual_seed(1)
    for data in (loader_with(shuffle=True, generator=generator), loader_with(num_workers=1), Stateful()):
        for micro in (None, 8):
            tracker = lb.SharpnessTracker(model, cross_entropy, data, tol=1e-5, micro_batch=micro)
            assert tracker.measure().sharpness == pytest.approx(exact, rel=1e-4)
    changed = lb.SharpnessTracker(model, cross_entropy, (inputs * 2, targets), tol=1e-5).measure().sharpness
    for wrapped in (Wrapped(loader_with()), Scaled(TensorDataset(*samples()), 6, shuffle=True)):
        assert lb.SharpnessTracker(model, cross_entropy, wrapped, tol=1e-5).measure().sharpness == pytest.approx(
            changed, rel=1e-4
        )


@pytest.mark.parametrize("source", [torch.rand, lambda _: np.random.rand(), lambda _: random.random()])  # noqa: NPY002
def test_random_augmentation_is_said(source: Callable[[int], Any]) -> None:
    class Augmented(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            inputs, target = super().__getitem__(index)
            return inputs * float(source(1)), target

    loader = DataLoader(Augmented(*samples()), 6, shuffle=True)
    with pytest.raises(lb.LastbitError, match=r"other samples each time they are read.*without random augmentation"):
        lb.SharpnessTracker(network().eval(), cross_entropy, loader).measure()


def test_data_too_large_to_hold_are_read_by_index_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "HELD", 200)
    assert_untouched(own_generator)
    assert_untouched(remembering)
    with pytest.raises(lb.LastbitError, match=r"hold more than .* GiB.*give fewer batches"):
        lb.SharpnessTracker(network().eval(), cross_entropy, Stateful()).measure()


def test_a_loss_that_reads_on_is_refused() -> None:
    references = iter([torch.zeros(LABELS)] * 40)
    generated = (torch.zeros(LABELS) for _ in range(40))
    for source in (references, generated):
        loss = functools.partial(
            lambda source, outputs, targets: mse_loss(outputs, next(source).expand_as(outputs)), source
        )
        with pytest.raises(lb.LastbitError, match="cannot be put back"):
            lb.SharpnessTracker(network().eval(), loss, samples()).measure()


def test_a_sampler_without_an_end_is_said() -> None:
    class Forever:
        def __iter__(self) -> Iterator[list[int]]:
            return itertools.repeat([0, 1, 2])

    loader = DataLoader(TensorDataset(*samples()), batch_sampler=Forever())  # type: ignore[arg-type]
    with pytest.raises(lb.LastbitError, match=r"sampler .* does not end"):
        lb.SharpnessTracker(network().eval(), cross_entropy, loader).measure()


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
