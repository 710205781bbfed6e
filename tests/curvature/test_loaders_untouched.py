"""A training goes on bit for bit after its loader has been read for a measurement, whatever the loader is made of."""

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, DistributedSampler, IterableDataset, Sampler, TensorDataset
from watched_training import LABELS, Training, assert_untouched, bits_of, loader_with, network, plain_loader, samples

import lastbit as lb
from lastbit.curvature.loss import loader


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


@pytest.mark.parametrize("name", LOADERS)
def test_any_loader_goes_on_as_if_nobody_had_looked(name: str) -> None:
    assert_untouched(LOADERS[name])


def test_a_stream_from_a_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("\n".join(map(str, range(24))))
    with ExitStack() as files:
        assert_untouched(lambda: stream(files.enter_context(path.open())))


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
def test_random_augmentation_is_reported(source: Callable[[int], Any]) -> None:
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


def test_a_sampler_without_an_end_is_reported() -> None:
    class Forever:
        def __iter__(self) -> Iterator[list[int]]:
            return itertools.repeat([0, 1, 2])

    loader = DataLoader(TensorDataset(*samples()), batch_sampler=Forever())  # type: ignore[arg-type]
    with pytest.raises(lb.LastbitError, match=r"sampler .* does not end"):
        lb.SharpnessTracker(network().eval(), cross_entropy, loader).measure()
