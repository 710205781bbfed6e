"""Batches of every make: measured as a dense float64 Hessian has it, or refused in one line that says what to give."""

import collections
import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import lastbit as lb

GENERATOR = torch.Generator().manual_seed(0)
LEFT, RIGHT = torch.randn(8, 4, generator=GENERATOR), torch.randn(8, 4, generator=GENERATOR)
TARGETS = torch.randint(3, (8,), generator=GENERATOR)
WEIGHTS = torch.rand(8, generator=GENERATOR)

Pair = collections.namedtuple("Pair", "left right")


@dataclasses.dataclass(frozen=True)
class Sides:
    left: Tensor
    right: Tensor
    name: str = "both"


class Product(nn.Module):
    """Of two linear maps of two inputs, however these arrive."""

    def __init__(self, forward: Callable[..., Tensor] | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        return self.a(left) * self.b(right)


class ByAttributes(Product):
    def forward(self, sides: Any) -> Tensor:
        return self.product(sides.left, sides.right)


class ByKey(Product):
    def forward(self, sides: Any) -> Tensor:
        return self.product(sides["left"], sides["right"])


class ByPosition(Product):
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.product(left, right)


class InATuple(Product):
    def forward(self, sides: Any) -> Tensor:
        return self.product(*sides)


class ByName(Product):
    """Like a network of a hub: everything has a name, and it returns an object with the loss."""

    def forward(self, left: Any = None, right: Any = None, labels: Any = None, **options: Any) -> Any:
        outputs = self.product(left, right)
        return collections.namedtuple("Output", "loss logits")(cross_entropy(outputs, labels), outputs)


class ByAnyName(ByName):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*args, **kwargs)


def weighted(outputs: Tensor, targets: Any) -> Tensor:
    labels, weights = targets
    return (cross_entropy(outputs, labels, reduction="none") * weights.to(outputs)).mean()


def own(outputs: Any, batch: Any) -> Tensor:
    loss: Tensor = outputs.loss
    return loss


def dense(loss_of: Callable[[Product], Tensor]) -> float:
    """The largest eigenvalue of the float64 Hessian of a loss that is written out."""
    model = Product().double()
    weights = list(model.parameters())
    flat = torch.autograd.grad(loss_of(model), weights, create_graph=True)
    entries = torch.cat([slope.reshape(-1) for slope in flat])
    rows = [torch.autograd.grad(entry, weights, retain_graph=True) for entry in entries]
    return float(torch.linalg.eigvalsh(torch.stack([torch.cat([p.reshape(-1) for p in row]) for row in rows]))[-1])


PLAIN = dense(lambda model: cross_entropy(model.product(LEFT.double(), RIGHT.double()), TARGETS))
WITH_WEIGHTS = dense(lambda model: weighted(model.product(LEFT.double(), RIGHT.double()), (TARGETS, WEIGHTS.double())))

NAMED = {"left": LEFT, "right": RIGHT}
WHOLE = {**NAMED, "labels": TARGETS}
HALVES = [{key: value[part] for key, value in WHOLE.items()} for part in (slice(4), slice(4, 8))]

KINDS: dict[str, tuple[Callable[[], nn.Module], Any, Any]] = {
    "named tuple": (ByAttributes, cross_entropy, (Pair(LEFT, RIGHT), TARGETS)),
    "named tuple, spread": (ByPosition, cross_entropy, (Pair(LEFT, RIGHT), TARGETS)),
    "dataclass": (ByAttributes, cross_entropy, (Sides(LEFT, RIGHT), TARGETS)),
    "dictionary": (ByKey, cross_entropy, (NAMED, TARGETS)),
    "dictionary by keyword": (ByPosition, cross_entropy, (NAMED, TARGETS)),
    "ordered dictionary": (ByKey, cross_entropy, (collections.OrderedDict(NAMED), TARGETS)),
    "user dictionary": (ByKey, cross_entropy, (collections.UserDict(NAMED), TARGETS)),
    "tuple": (InATuple, cross_entropy, ((LEFT, RIGHT), TARGETS)),
    "two positional inputs": (ByPosition, cross_entropy, ((LEFT, RIGHT), TARGETS)),
    "two positional inputs of a loader": (ByPosition, cross_entropy, [[LEFT, RIGHT], TARGETS]),
    "targets and weights": (InATuple, weighted, ((LEFT, RIGHT), (TARGETS, WEIGHTS))),
    "one mapping, the model's own loss": (ByName, own, WHOLE),
    "one mapping to a model without names": (ByAnyName, own, WHOLE),
    "one user dictionary": (ByName, own, collections.UserDict(WHOLE)),
    "the mapping twice": (ByName, own, (WHOLE, WHOLE)),
    "list of mappings": (ByName, own, HALVES),
    "loader of mappings": (ByName, own, DataLoader([{k: v[i] for k, v in WHOLE.items()} for i in range(8)], 3)),  # type: ignore[arg-type]
    "list of pairs": (ByPosition, cross_entropy, [((LEFT[p], RIGHT[p]), TARGETS[p]) for p in (slice(3), slice(3, 8))]),
    "strings beside": (ByKey, cross_entropy, ({**NAMED, "names": list("abcdefgh")}, TARGETS)),
    "data parallel": (lambda: nn.DataParallel(ByPosition()), cross_entropy, ((LEFT, RIGHT), TARGETS)),
}


@pytest.mark.parametrize("name", KINDS)
def test_batches_of_every_make_are_measured_right(name: str) -> None:
    make, loss, data = KINDS[name]
    exact = WITH_WEIGHTS if loss is weighted else PLAIN
    for micro in (None, 7):
        measured = lb.SharpnessTracker(make(), loss, data, tol=1e-5, micro_batch=micro).measure()
        assert measured.sharpness == pytest.approx(exact, rel=1e-4)


def test_a_dataclass_is_cast_and_cut_with_the_rest() -> None:
    data = (Sides(LEFT, RIGHT), TARGETS)
    hessian = lb.HessianOperator(ByAttributes(), cross_entropy, data, micro_batch=5, dtype=torch.float64)
    full = hessian @ torch.eye(hessian.size, dtype=torch.float64)
    assert float(torch.linalg.eigvalsh(full)[-1]) == pytest.approx(PLAIN, rel=1e-12)


class Opaque:
    def __init__(self) -> None:
        self.left, self.right, self.y = LEFT, RIGHT, TARGETS


REFUSED: dict[str, tuple[nn.Module, Any, Any, str]] = {
    "three entries": (
        nn.Linear(4, 3),
        cross_entropy,
        (LEFT, TARGETS, WEIGHTS),
        r"has 3 entries; .*\(x, \(y, weights\)\)",
    ),
    "three tensors in a list": (
        nn.Linear(4, 3),
        cross_entropy,
        [LEFT, TARGETS, WEIGHTS],
        "a batch has 3 entries",
    ),
    "dictionary": (
        nn.Linear(4, 3),
        cross_entropy,
        {"x": LEFT, "y": TARGETS},
        r"^give pairs, as in \[\(batch\['x'\], batch\['y'\]\) .* where inputs is a dict of x, y$",
    ),
    "list of dictionaries": (
        nn.Linear(4, 3),
        cross_entropy,
        [{"x": LEFT, "y": TARGETS}] * 2,
        r"^give pairs, as in \[\(batch\['x'\], batch\['y'\]\) .* where inputs is a dict of x, y$",
    ),
    "tuple of batches": (
        nn.Linear(4, 3),
        cross_entropy,
        ((LEFT, TARGETS), (LEFT, TARGETS)),
        "several batches in a list",
    ),
    "data set": (
        nn.Linear(4, 3),
        cross_entropy,
        TensorDataset(LEFT, TARGETS),
        r"DataLoader\(tensordataset, batch_size=256\)",
    ),
    "own class": (
        nn.Linear(4, 3),
        cross_entropy,
        [Opaque()],
        r"a Opaque; .*\[\(batch.x, batch.y\) for batch in loader\]",
    ),
    "own class, cut": (
        ByAttributes(),
        cross_entropy,
        (Opaque(), TARGETS),
        "a Opaque, whose samples cannot be told apart",
    ),
    "the model's own loss, not taken": (
        ByName(),
        cross_entropy,
        WHOLE,
        "^write the loss as lambda outputs, batch: outputs.loss; ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_batches_are_refused_with_what_to_give(name: str) -> None:
    model, loss, data, message = REFUSED[name]
    with pytest.raises(lb.LastbitError, match=message) as caught:
        lb.SharpnessTracker(model, loss, data, micro_batch=7).measure()
    assert "\n" not in str(caught.value)


def test_complex_weights_are_refused_by_name() -> None:
    model = nn.ParameterDict({"w": nn.Parameter(torch.randn(3, dtype=torch.cfloat))})
    with pytest.raises(lb.LastbitError, match=r"parameter w is complex.*torch.view_as_complex"):
        lb.SharpnessTracker(model, cross_entropy, (LEFT, TARGETS))


class Auxiliary(nn.Module):
    """Returns a second head's outputs too, in training mode alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.features, self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Any:
        hidden = torch.tanh(self.features(inputs))
        return (self.first(hidden), self.second(hidden)) if self.training else self.first(hidden)


def both_heads(outputs: Any, targets: Tensor) -> Tensor:
    first, second = outputs
    return cross_entropy(first, targets) + 0.3 * cross_entropy(second, targets)


def test_outputs_that_differ_in_training_name_the_mode() -> None:
    model = Auxiliary()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    message = r"give mode='as is' .*too many values to unpack.*in evaluation mode the model returns a tensor"
    with pytest.raises(lb.LastbitError, match=message):
        lb.SharpnessMonitor(model, both_heads, (LEFT, TARGETS), optimizer).__enter__()
    reference = copy.deepcopy(model).double()
    hessian = lb.HessianOperator(reference, both_heads, (LEFT.double(), TARGETS))
    exact = torch.linalg.eigvalsh(hessian @ torch.eye(hessian.size, dtype=torch.float64))[-1]
    with lb.SharpnessMonitor(model, both_heads, (LEFT, TARGETS), optimizer, mode="as is") as monitor:
        assert monitor.measure().sharpness == pytest.approx(float(exact), rel=1e-3)


class Adapted(nn.Module):
    """A frozen layer in bfloat16 beside a trained one of low rank."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.base = nn.Linear(4, 3).to(torch.bfloat16).requires_grad_(False)
        self.down, self.up = nn.Parameter(torch.randn(2, 4)), nn.Parameter(torch.randn(3, 2) * 0.1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.base(inputs.bfloat16()).float() + inputs @ self.down.T @ self.up.T


def test_an_adapter_beside_a_frozen_half_precision_base() -> None:
    model = Adapted()
    base = model.base(LEFT.bfloat16()).double()

    def loss(flat: Tensor) -> Tensor:
        down, up = flat[:8].reshape(2, 4), flat[8:].reshape(3, 2)
        return cross_entropy(base + LEFT.double() @ down.T @ up.T, TARGETS)

    flat = torch.cat([model.down.detach().reshape(-1), model.up.detach().reshape(-1)]).double()
    exact = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))[-1]
    measured = lb.SharpnessTracker(model, cross_entropy, (LEFT, TARGETS), tol=1e-5).measure()
    assert measured.sharpness == pytest.approx(float(exact), rel=1e-4)


SEQUENCES = [LEFT[:5], LEFT[2:8], LEFT[1:4]]


class Recurrent(nn.Module):
    """Reads packed sequences, or those of the numbers that it is given, one by one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.read, self.out = nn.RNN(4, 3), nn.Linear(3, 3)

    def forward(self, inputs: Any) -> Tensor:
        if isinstance(inputs, Tensor):
            return self.out(torch.cat([self.read(SEQUENCES[place])[1] for place in inputs]))
        return self.out(self.read(inputs)[1][0])


def test_packed_sequences_are_measured_as_the_sequences_one_by_one() -> None:
    packed = nn.utils.rnn.pack_sequence(SEQUENCES, enforce_sorted=False)
    exact = lb.HessianOperator(Recurrent(), cross_entropy, (torch.arange(3), TARGETS[:3]))
    ones = torch.ones(exact.size)
    for data in ((packed, TARGETS[:3]), [(packed, TARGETS[:3])] * 2):
        found = lb.HessianOperator(Recurrent(), cross_entropy, data, denominator=lambda _, y: len(y))
        torch.testing.assert_close(found.matvec(ones), exact.matvec(ones))
    with pytest.raises(lb.LastbitError, match="a PackedSequence, whose samples cannot be told apart"):
        lb.HessianOperator(Recurrent(), cross_entropy, (packed, TARGETS[:3]), micro_batch=2)


def test_a_temperature_beside_the_samples_carries_none() -> None:
    def tempered(outputs: Tensor, targets: Any) -> Tensor:
        return cross_entropy(outputs / targets[1], targets[0])

    model = nn.Linear(4, 3)
    exact = lb.HessianOperator(model, lambda outputs, y: cross_entropy(outputs / 2, y), (LEFT, TARGETS))
    ones = torch.ones(exact.size)
    for micro in (None, 7):
        found = lb.HessianOperator(model, tempered, (LEFT, (TARGETS, torch.tensor(2.0))), micro_batch=micro)
        torch.testing.assert_close(found.matvec(ones), exact.matvec(ones))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_modules_that_cannot_be_measured_are_named() -> None:
    scripted = torch.jit.script(nn.Linear(4, 3))
    for model, loss, where in (
        (scripted, cross_entropy, "model"),
        (nn.Sequential(scripted), cross_entropy, "model: 0"),
        (nn.Linear(4, 3), torch.jit.script(nn.CrossEntropyLoss()), "loss"),
    ):
        with pytest.raises(TypeError, match=rf"{where} \(.*\) is compiled by TorchScript"):
            lb.SharpnessTracker(model, loss, (LEFT, TARGETS))
    for lazy in (nn.LazyLinear(3), nn.Sequential(nn.Linear(4, 3), nn.LazyBatchNorm1d(affine=False)).eval()):
        with pytest.raises(lb.LastbitError, match="is lazy and has no shape yet; call the model once"):
            lb.SharpnessTracker(lazy, cross_entropy, (LEFT, TARGETS))
