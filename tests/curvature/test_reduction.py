"""Losses that are no mean over samples: each way of cutting the data gives the dense Hessian of the whole."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset

from lastbit.curvature import HessianOperator, SharpnessTracker
from lastbit.curvature.loss import objective
from lastbit.curvature.loss.batches import Piece
from lastbit.curvature.loss.point import LossPoint

WEIGHTS = torch.tensor([0.1, 1.0, 5.0])
X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0] * 14 + [1] * 7 + [2] * 3)
IGNORED = torch.where(torch.arange(24) % 12 < 7, -100, CLASSES)  # the first seven of 24 have no target at all
MASK = (torch.arange(24) > 5).float()


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3))


class Masked(nn.Module):
    """A sum over what a mask keeps, divided by how much that is."""

    def forward(self, outputs: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
        classes, mask = targets
        return (cross_entropy(outputs, classes, reduction="none") * mask).sum() / (mask.sum() + 1e-8)


def weighted_closure(outputs: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(outputs, targets, weight=WEIGHTS.to(outputs))


def ignoring_nine(outputs: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(outputs, targets, ignore_index=9)


def squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return mse_loss(outputs, nn.functional.one_hot(targets, 3).to(outputs))


def penalised(outputs: Tensor, targets: Tensor, model: nn.Module) -> Tensor:
    """A penalty that reads the model's parameters itself."""
    penalty = sum((p.pow(4).sum() for p in model.parameters()), torch.zeros(()))
    return cross_entropy(outputs, targets) + 0.1 * penalty


LOSSES: dict[str, tuple[Any, Any]] = {
    "mean": (nn.CrossEntropyLoss(), CLASSES),
    "class weights": (nn.CrossEntropyLoss(weight=WEIGHTS), CLASSES),
    "class weights and ignored": (nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1), IGNORED),
    "likelihood with weights": (lambda o, t: nn.NLLLoss(weight=WEIGHTS.to(o))(o.log_softmax(1), t), CLASSES),
    "class weights in a closure": (weighted_closure, CLASSES),
    "class weights in a partial": (functools.partial(cross_entropy, weight=WEIGHTS), CLASSES),
    "sum": (nn.CrossEntropyLoss(reduction="sum"), CLASSES),
    "ignored": (nn.CrossEntropyLoss(), IGNORED),
    "ignored, another index": (nn.CrossEntropyLoss(ignore_index=0), CLASSES),
    "ignored, in the code": (ignoring_nine, torch.where(IGNORED == -100, 9, CLASSES)),
    "mask": (Masked(), (CLASSES, MASK)),
    "mean over elements": (squares, CLASSES),
}


def dense(model: nn.Module, loss: Any, targets: Any) -> Tensor:
    """The Hessian of the whole batch's loss by torch's nested differentiation, in float64 where the loss allows."""
    names, weights = zip(*model.named_parameters(), strict=True)
    sizes = [w.numel() for w in weights]

    def value(flat: Tensor) -> Tensor:
        parts = [p.reshape(w.shape) for p, w in zip(flat.split(sizes), weights, strict=True)]
        state = dict(zip(names, parts, strict=True))
        return loss(torch.func.functional_call(model, state, (X,)), targets)

    return torch.autograd.functional.hessian(value, torch.cat([w.detach().reshape(-1) for w in weights]))


def cuts(targets: Any) -> list[tuple[Any, dict[str, Any]]]:
    """One batch, micro batches, a list of uneven batches, and loaders that shuffle or do not."""
    columns = targets if isinstance(targets, tuple) else (targets,)
    uneven = [5, 1, 11, 7]
    parts = list(zip(X.split(uneven), *(column.split(uneven) for column in columns), strict=True))
    pairs = [(x, tuple(rest) if isinstance(targets, tuple) else rest[0]) for x, *rest in parts]
    found: list[tuple[Any, dict[str, Any]]] = [((X, targets), {}), ((X, targets), {"micro_batch": 17}), (pairs, {})]
    if not isinstance(targets, tuple):
        found.append((DataLoader(TensorDataset(X, targets), 5, shuffle=True), {}))
    return found


@pytest.mark.parametrize("name", LOSSES)
def test_every_cut_gives_the_dense_hessian(name: str) -> None:
    loss, targets = LOSSES[name]
    model = network()
    expected = dense(model, loss, targets)
    for data, options in cuts(targets):
        operator = HessianOperator(model, loss, data, **options)
        actual = operator @ torch.eye(operator.size)
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_tokens_of_a_language_model_that_shifts_its_labels() -> None:
    """Its mean is over the labels after the first column that are not ignored."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7))
    tokens = torch.randint(7, (8, 5), generator=torch.Generator().manual_seed(3))
    labels = tokens.masked_fill(torch.arange(5)[None] >= torch.arange(1, 9)[:, None], -100)

    def shifted(logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())

    whole = SharpnessTracker(model, shifted, (tokens, labels)).measure().sharpness
    for data in ([(tokens[:2], labels[:2]), (tokens[2:], labels[2:])], DataLoader(TensorDataset(tokens, labels), 3)):
        assert SharpnessTracker(model, shifted, data).measure().sharpness == pytest.approx(whole, rel=1e-4)


def test_batches_of_different_lengths_are_told_by_their_halves() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7))
    tokens = torch.randint(7, (4, 6), generator=torch.Generator().manual_seed(3))
    labels = tokens.roll(-1, 1).masked_fill(torch.arange(6)[None] >= torch.tensor([[2], [3], [6], [5]]), -100)
    batches = [(tokens[:2, :3], labels[:2, :3]), (tokens[2:], labels[2:])]

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits.flatten(0, 1), labels.flatten())

    whole = SharpnessTracker(model, loss, (tokens, labels)).measure().sharpness
    assert SharpnessTracker(model, loss, batches).measure().sharpness == pytest.approx(whole, rel=1e-4)


def contrastive(outputs: Tensor, targets: Tensor) -> Tensor:
    """Each sample against all others of its batch."""
    return cross_entropy(outputs @ outputs.T, torch.arange(len(outputs)))


def dice(outputs: Tensor, targets: Tensor) -> Tensor:
    chances, marks = outputs.sigmoid()[:, 0], (targets == 1).to(outputs)
    return 1 - 2 * (chances * marks).sum() / (chances.sum() + marks.sum())


def summed_with_penalty(outputs: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(outputs, targets, reduction="sum") + 3.0


def two_denominators(outputs: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(outputs, targets) + outputs.square().mean()


def hidden(outputs: Tensor, targets: Tensor) -> Tensor:
    """Divides by something that no count of samples or targets shows."""
    shares = targets.to(outputs) ** 2 + 1
    return (shares * cross_entropy(outputs, targets, reduction="none")).sum() / shares.sum()


@pytest.mark.parametrize("loss", [contrastive, dice, summed_with_penalty, hidden])
def test_what_the_parts_do_not_make_up_is_refused_in_pieces_and_measured_whole(loss: Callable[..., Tensor]) -> None:
    for data, options in cuts(CLASSES)[1:]:
        with pytest.raises(ValueError, match="no sum or mean that parts of the data make up") as caught:
            HessianOperator(network(), loss, data, **options)
        assert "\n" not in str(caught.value)
    operator = HessianOperator(network(), loss, (X, CLASSES))
    expected = dense(network(), loss, CLASSES)
    torch.testing.assert_close(operator @ torch.eye(operator.size), expected, rtol=1e-3, atol=1e-5)


def test_two_means_over_different_things_are_refused_in_pieces() -> None:
    with pytest.raises(ValueError, match="no sum or mean"):
        HessianOperator(network(), two_denominators, (X, IGNORED), micro_batch=17)


def test_a_denominator_can_be_given_and_is_held_to_the_losses() -> None:
    whole = SharpnessTracker(network(), hidden, (X, CLASSES)).measure().sharpness

    def shares(inputs: Tensor, targets: Tensor) -> Tensor:
        return (targets**2 + 1).sum()

    for data, options in cuts(CLASSES)[1:]:
        tracker = SharpnessTracker(network(), hidden, data, denominator=shares, **options)
        assert tracker.measure().sharpness == pytest.approx(whole, rel=1e-4)
    with pytest.raises(ValueError, match="denominator= does not explain the loss: of two parts"):
        SharpnessTracker(network(), hidden, (X, CLASSES), micro_batch=17, denominator=lambda x, y: len(x)).measure()


def test_an_output_layer_of_zeros_hides_nothing() -> None:
    """Every loss is log 3 there, whatever the weights of the classes."""
    model = network()
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    loss = nn.CrossEntropyLoss(weight=WEIGHTS)
    expected = dense(model, loss, CLASSES)
    operator = HessianOperator(model, loss, (X, CLASSES), micro_batch=17)
    torch.testing.assert_close(operator @ torch.eye(operator.size), expected, rtol=1e-4, atol=1e-6)


def test_a_penalty_that_reads_the_models_parameters_counts() -> None:
    model = network()
    for options in ({}, {"micro_batch": 17}):
        operator = HessianOperator(model, functools.partial(penalised, model=model), (X, CLASSES), **options)  # type: ignore[arg-type]
        quartic = torch.cat([0.1 * 12 * p.detach().reshape(-1) ** 2 for p in model.parameters()])
        expected = dense(model, nn.CrossEntropyLoss(), CLASSES) + torch.diag(quartic)
        torch.testing.assert_close(operator @ torch.eye(operator.size), expected, rtol=1e-4, atol=1e-5)


def test_a_penalty_on_a_list_of_parameters_made_earlier_is_refused() -> None:
    model = network()
    held = list(model.parameters())

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(outputs, targets) + sum(p.square().sum() for p in held)

    with pytest.raises(ValueError, match=r"reads \d\.\w+ past the model"):
        HessianOperator(model, loss, (X, CLASSES))


def test_no_target_at_all() -> None:
    batches = [(X[:3], IGNORED[:3]), (X[3:5], IGNORED[3:5])]
    with pytest.raises(ValueError, match="no sample of the data counts: the loss is a mean over denominator"):
        HessianOperator(network(), nn.CrossEntropyLoss(), batches, denominator=lambda x, y: (y >= 0).sum())


class Cast(nn.Module):
    """Takes inputs that the layers do not."""

    def __init__(self, cast: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.cast, self.inner = cast, network()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.inner(self.cast(inputs))


ODD: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]] = {
    "complex": (lambda x: torch.complex(x, x), lambda x: torch.as_tensor(x).real.contiguous()),
    "uint16": (lambda x: (9 * x.abs()).to(torch.uint16), lambda x: x.float()),
    "sparse": (lambda x: x.to_sparse(), lambda x: x.to_dense()),
}


@pytest.mark.parametrize("kind", ODD)
def test_inputs_in_which_nothing_can_be_counted(kind: str) -> None:
    make, cast = ODD[kind]
    model = Cast(cast)
    batches = [(make(X[start : start + 8]), CLASSES[start : start + 8]) for start in (0, 8, 16)]
    whole = HessianOperator(model.inner, cross_entropy, (cast(make(X)).float(), CLASSES))
    ones = torch.ones(whole.size)
    torch.testing.assert_close(HessianOperator(model, cross_entropy, batches).matvec(ones), whole.matvec(ones))


def test_names_of_samples_and_variables_without_a_value() -> None:
    def loss(outputs: Tensor, targets: Any) -> Tensor:
        return cross_entropy(outputs, targets[0]) if len(targets) == 2 else later

    batches = [(X[:12], (CLASSES[:12], np.array(["a"] * 12))), (X[12:], (CLASSES[12:], np.array(["b"] * 12)))]
    model = network()
    whole = HessianOperator(model, cross_entropy, (X, CLASSES))
    ones = torch.ones(whole.size)
    torch.testing.assert_close(HessianOperator(model, loss, batches).matvec(ones), whole.matvec(ones))
    later = torch.zeros(())


def test_losses_that_cannot_be_had_in_double_precision_are_told_in_single(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "attempted", lambda work: None)
    weighted = nn.CrossEntropyLoss(weight=WEIGHTS)
    operator = HessianOperator(network(), weighted, (X, CLASSES), micro_batch=17)
    expected = dense(network(), weighted, CLASSES)
    torch.testing.assert_close(operator @ torch.eye(operator.size), expected, rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="no sum or mean"):
        HessianOperator(network(), contrastive, (X, CLASSES), micro_batch=17)


@pytest.mark.parametrize("samples", [100, 101, 250])
def test_no_pass_takes_more_samples_than_a_product(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training step on 100 samples is to fit into memory; two fifths of them may be differentiated twice."""
    passes: list[int] = []
    outputs = LossPoint.outputs

    def counted(point: LossPoint, piece: Piece) -> Any:
        passes.append(len(piece.inputs))
        return outputs(point, piece)

    monkeypatch.setattr(LossPoint, "outputs", counted)
    data = (torch.randn(samples, 4), torch.arange(samples) % 3)
    operator = HessianOperator(nn.Linear(4, 3), nn.CrossEntropyLoss(), data, micro_batch=100)
    assert max(passes) == 40
    passes.clear()
    operator.matvec(torch.ones(operator.size))
    assert (max(passes), sum(passes)) == (40, samples)
