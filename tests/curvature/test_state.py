"""What a state remembers, what it costs, and that all of it is put back."""

import functools
import io
import tracemalloc
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import lastbit as lb
from lastbit.curvature.loss import loader
from lastbit.curvature.untouched.undisturbed import ReachableState
from lastbit.errors import LastbitError


def samples() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(12, 4, generator=generator), torch.randint(3, (12,), generator=generator)


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many things each state that is made has met."""
    found: list[int] = []
    init = ReachableState.__init__

    def counted(self: ReachableState, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        found.append(len(self._seen))

    monkeypatch.setattr(ReachableState, "__init__", counted)
    return found


def test_one_walk_of_a_model_with_buffers_serves_all_products(walks: list[int]) -> None:
    torch.manual_seed(0)
    layers = [layer for _ in range(6) for layer in (nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh())]
    model = nn.Sequential(*layers, nn.Linear(4, 3)).eval()
    tracker = lb.SharpnessTracker(model, cross_entropy, samples())
    tracker.measure()
    walks.clear()
    assert tracker.measure().matvecs >= 1
    for _, parameter in model.named_parameters():
        parameter.data.mul_(1.2)
    assert tracker.measure().matvecs >= 3
    whole = max(walks)
    assert [size for size in walks if size > whole / 2] == [whole] * 2  # one for each measurement
    assert len(model[1].state_dict()) == 5


def test_what_can_be_put_back_is_put_back_although_something_cannot() -> None:
    class Closing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.file, self.last = [0], io.StringIO("text"), {"count": 0}

    module = Closing()
    state = ReachableState(module)
    module.first.append(1)
    module.file.read()
    module.file.close()
    module.last["count"] = 1
    module.file = None  # type: ignore[assignment]
    with pytest.raises(LastbitError, match=r"measuring changes Closing\.file, which cannot be put back"):
        state.restore()
    assert (module.first, module.last) == ([0], {"count": 0})
    assert isinstance(module.file, io.StringIO)


def test_a_tensor_that_got_another_type_gets_its_own_again() -> None:
    tensor = torch.tensor([1 / 3, 2.0])
    state = ReachableState(tensor)
    tensor.data = tensor.data.double()
    state.restore()
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == torch.tensor([1 / 3, 2.0]).tolist()


def test_an_inference_tensor_beyond_the_budget_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lastbit.curvature.untouched.undisturbed._COPIED", 0)
    with torch.inference_mode():
        tensor = torch.ones(3)
    ReachableState(tensor).restore()
    assert tensor.tolist() == [1.0] * 3


class Trainer:
    """A user's trainer, whose loss is a method; a thread of its own fills `ready`."""

    kinds = 0

    def __init__(self) -> None:
        self.ready: list[int] = []
        self.calls, self.scale, self.shown = 0, torch.ones(()), [0]
        self.filled = 0

    def fill(self) -> None:
        self.ready.append(len(self.ready))
        self.filled += 1

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.calls += 1
        Trainer.kinds += 1
        self.note()
        return cross_entropy(outputs, targets) * self.scale

    def note(self) -> None:
        getattr(self, "shown").append(1)  # noqa: B009
        self.noted = True
        self.scale.add_(1)


@pytest.mark.parametrize("way", ["method", "partial", "closure", "hook"])
def test_what_the_loss_of_a_trainer_does_not_name_is_left_to_its_threads(way: str) -> None:
    trainer, module = Trainer(), nn.Identity()
    roots: dict[str, Any] = {
        "method": trainer.loss,
        "partial": functools.partial(trainer.loss, targets=None),
        "closure": lambda outputs, targets: trainer.loss(outputs, targets),
        "hook": module,
    }
    module.register_forward_hook(trainer.loss)  # type: ignore[arg-type]
    state = ReachableState(roots[way])
    trainer.loss(*samples())
    trainer.fill()
    state.restore()
    assert (trainer.ready, trainer.filled) == ([0], 1)
    assert (trainer.calls, trainer.shown, trainer.kinds, float(trainer.scale)) == (0, [0], 0, 1.0)
    assert not hasattr(trainer, "noted")


def test_a_callable_object_is_put_back_where_its_code_writes() -> None:
    class Loss:
        __slots__ = ("calls", "helper", "queue")

        def __init__(self) -> None:
            self.calls, self.helper, self.queue = 0, Trainer(), [0]

        def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
            self.calls += 1
            return self.helper.loss(outputs, targets)

    loss = Loss()
    state = ReachableState(loss)
    loss(*samples())
    loss.queue.append(1)
    loss.helper.fill()
    state.restore()
    assert (loss.calls, loss.helper.calls, loss.helper.shown) == (0, 0, [0])
    assert (loss.queue, loss.helper.ready) == ([0, 1], [0])


def test_code_that_may_name_anything_has_everything_put_back() -> None:
    class Writing:
        def __init__(self) -> None:
            self.x0 = 0

        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            for index in range(2):
                setattr(self, f"x{index}", 1)
            return outputs.sum()

    writing = Writing()
    state = ReachableState(writing.loss)
    writing.loss(*samples())
    state.restore()
    assert vars(writing) == {"x0": 0}


def test_modules_are_listed_without_a_copy() -> None:
    state = ReachableState(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), remember=False)
    assert [type(module) for module in state.modules] == [nn.Sequential, nn.BatchNorm1d, nn.Linear]
    assert state._memories == []


def test_parameters_are_the_last_that_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lastbit.curvature.untouched.undisturbed._COPIED", 100)
    module = nn.Linear(4, 4)
    module.cache, module.large = torch.zeros(12), torch.zeros(20)  # type: ignore[assignment]
    state = ReachableState(module)
    module.cache.add_(1)  # type: ignore[operator]
    module.bias.data.add_(1)
    before = module.bias.detach() - 1
    state.restore()
    assert module.cache.sum() == 0  # type: ignore[operator]
    torch.testing.assert_close(module.bias.detach(), before)


def test_names_cost_nothing_until_there_is_a_message() -> None:
    class Link:
        def __init__(self, following: object) -> None:
            self.following = following

    chain: Any = None
    for _ in range(3000):
        chain = Link(chain)
    tracemalloc.start()
    try:
        ReachableState(lambda: chain.following)
        assert tracemalloc.get_traced_memory()[1] < 2e7
    finally:
        tracemalloc.stop()
    tensor = torch.zeros(1000)
    last: list[Any] = [iter([1])]
    for _ in range(20):
        last = [last]
    state = ReachableState({tensor: last})
    found = last
    while isinstance(found, list):
        found = found[0]
    next(found)
    with pytest.raises(LastbitError, match=r"measuring changes dict\.\.\.(\[0\]){8}, which"):
        state.restore()


def test_data_that_are_not_held_are_remembered_once_a_measurement(
    monkeypatch: pytest.MonkeyPatch, walks: list[int]
) -> None:
    monkeypatch.setattr(loader, "HELD", 50)
    inputs, targets = samples()
    model = nn.Linear(4, 3)
    tracker = lb.SharpnessTracker(model, cross_entropy, DataLoader(TensorDataset(inputs, targets), 4), tol=1e-5)
    found = tracker.measure()
    assert found.matvecs > 3
    assert found.sharpness == pytest.approx(
        lb.SharpnessTracker(model, cross_entropy, samples()).measure().sharpness, rel=1e-3
    )
    walks.clear()
    model.weight.data.mul_(1.5)
    assert tracker.measure().matvecs > 2
    assert len(walks) == 2  # of the model and of the data


def test_what_a_cached_function_or_property_writes_is_put_back() -> None:
    trainer = Trainer()

    @functools.cache
    def scaled(factor: int) -> int:
        trainer.calls += 1
        return factor

    class Cached:
        def __init__(self) -> None:
            self.made = 0

        @functools.cached_property
        def weight(self) -> float:
            self.made += 1
            return 2.0

        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return outputs.sum() * self.weight * scaled(1)

    cached = Cached()
    state = ReachableState(cached.loss)
    cached.loss(*samples())
    assert (cached.made, trainer.calls) == (1, 1)
    state.restore()
    assert vars(cached) == {"made": 0}
    assert trainer.calls == 0
