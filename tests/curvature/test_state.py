"""What a state remembers, what it costs, and that all of it is put back."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import lastbit as lb
from lastbit.curvature.state import State
from lastbit.errors import LastbitError


def samples() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(12, 4, generator=generator), torch.randint(3, (12,), generator=generator)


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many things each state that is made has met."""
    found: list[int] = []
    init = State.__init__

    def counted(self: State, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        found.append(len(self._seen))

    monkeypatch.setattr(State, "__init__", counted)
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
    state = State(module)
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
    state = State(tensor)
    tensor.data = tensor.data.double()
    state.restore()
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == torch.tensor([1 / 3, 2.0]).tolist()


def test_an_inference_tensor_beyond_the_budget_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lastbit.curvature.state._COPIED", 0)
    with torch.inference_mode():
        tensor = torch.ones(3)
    State(tensor).restore()
    assert tensor.tolist() == [1.0] * 3
