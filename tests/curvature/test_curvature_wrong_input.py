"""Each mistake is one clear error that names it."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lastbit.curvature import GaussNewtonOperator, HessianOperator, SharpnessMonitor
from lastbit.errors import LastbitError

X, Y = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 2])
CE = nn.CrossEntropyLoss()


class Broken(nn.Module):
    """Overwrites what the backward pass needs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.linear(inputs).exp()
        squared = hidden * hidden
        hidden.add_(1)
        return squared


class OnceOnly(torch.autograd.Function):
    """A function whose gradient has no gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * slope


class Augmented:
    """Batches that differ at every pass, drawn outside torch."""

    def __init__(self) -> None:
        self.generator = random.Random(0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield X * self.generator.random(), Y


class Noisy(nn.Linear):
    """Draws without a dropout module."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs + torch.randn_like(inputs))


def with_nan() -> nn.Module:
    model = nn.Linear(4, 3)
    with torch.no_grad():
        model.weight[1, 2] = torch.nan
    return model


def frozen() -> nn.Module:
    return nn.Linear(4, 3).requires_grad_(False)


def watched(loss: Callable[[Tensor, Tensor], Tensor], data: object) -> None:
    """Watch a training, whose model is in training mode, with a loss."""
    model = nn.Linear(4, 3)
    with SharpnessMonitor(model, loss, data, torch.optim.SGD(model.parameters(), lr=0.1)):
        raise AssertionError("the mistake was not noticed")


MISTAKES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "independent loss": (
        lambda: HessianOperator(nn.Linear(4, 3), lambda z, y: z.detach().sum(), (X, Y)),
        ValueError,
        "does not depend on the parameters weight, bias",
    ),
    "constant loss": (
        lambda: HessianOperator(nn.Linear(4, 3), lambda z, y: torch.ones(()), (X, Y)),
        ValueError,
        "does not depend on the parameters",
    ),
    "independent block": (
        lambda: HessianOperator(nn.ModuleDict({"a": nn.Linear(4, 3)}), CE, (X, Y), parameters="b.*"),
        ValueError,
        r"parameters='b\.\*' matches no trainable parameter; there are a\.weight, a\.bias",
    ),
    "broken graph": (
        lambda: HessianOperator(Broken(), CE, (X, Y)),
        ValueError,
        "cannot be differentiated twice: .*inplace operation",
    ),
    "once differentiable": (
        lambda: HessianOperator(nn.Linear(4, 3), lambda z, y: CE(OnceOnly.apply(z), y), (X, Y)) @ torch.ones(15),
        ValueError,
        "cannot be differentiated twice",
    ),
    "empty list": (lambda: HessianOperator(nn.Linear(4, 3), CE, []), ValueError, "the data hold no samples"),
    "empty batch": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (X[:0], Y[:0])),
        ValueError,
        "the data hold no samples",
    ),
    "generator": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, iter([(X, Y)])),
        TypeError,
        "a list_iterator, which can be read only once",
    ),
    "bare tensor": (lambda: HessianOperator(nn.Linear(4, 3), CE, X), TypeError, "data is a Tensor; give one"),
    "no pair": (lambda: HessianOperator(nn.Linear(4, 3), CE, (X, Y, Y)), ValueError, "a batch has 3 entries"),
    "counts disagree": (lambda: HessianOperator(nn.Linear(4, 3), CE, (X, Y[:4])), ValueError, r"have \[4, 6\] samples"),
    "micro batch": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (X, Y), micro_batch=0),
        ValueError,
        "micro_batch=0 is not allowed",
    ),
    "NaN weights": (
        lambda: HessianOperator(with_nan(), CE, (X, Y)),
        ValueError,
        "parameter weight holds NaN or infinity in 1 of 12 entries",
    ),
    "no parameters": (
        lambda: HessianOperator(frozen(), CE, (X, Y)),
        ValueError,
        "no parameter that requires a gradient",
    ),
    "no module": (lambda: HessianOperator(torch.tanh, CE, (X, Y)), TypeError, "give a torch.nn.Module"),  # type: ignore[arg-type]
    "loss per sample": (
        lambda: HessianOperator(nn.Linear(4, 3), nn.CrossEntropyLoss(reduction="none"), (X, Y)),
        TypeError,
        r"a tensor of shape \(6,\), not one number",
    ),
    "dropout": (
        lambda: HessianOperator(nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.1)), CE, (X, Y)),
        ValueError,
        r"draws random numbers \(1: Dropout\).*model\.eval\(\)",
    ),
    "drawn elsewhere": (lambda: HessianOperator(Noisy(4, 3), CE, (X, Y)), ValueError, "look for functional calls"),
    "batch norm": (
        lambda: HessianOperator(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), CE, (X, Y)),
        ValueError,
        r"1 \(BatchNorm1d\) is in training mode .* model\.eval\(\)",
    ),
    "no running statistics": (
        lambda: HessianOperator(
            nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval(), CE, (X, Y)
        ),
        ValueError,
        "keeps no running statistics",
    ),
    "augmented loader": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, Augmented()),
        ValueError,
        "without random augmentation",
    ),
    "operand": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (X, Y)) @ torch.ones(4),
        ValueError,
        r"shape \(4,\); give \(15,\)",
    ),
    "weight decay": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (X, Y), weight_decay=float("nan")),
        ValueError,
        "weight_decay=nan",
    ),
    "missing preconditioner": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (X, Y), preconditioner={}),
        ValueError,
        "lacks parameter weight",
    ),
    "loss called as loss(target, output)": (
        lambda: HessianOperator(nn.Linear(4, 3), lambda y, z: CE(z, y), (X, Y)),
        LastbitError,
        r"^swap the arguments of the loss, .*returns a tensor of shape \(6, 3\) .*targets is a tensor of shape \(6,\)",
    ),
    "watched loss called as loss(target, output)": (
        lambda: watched(lambda y, z: CE(z, y), (X, Y)),
        LastbitError,
        "^swap the arguments of the loss",
    ),
    "batch as (target, input)": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (Y, X)),
        LastbitError,
        r"^give each batch as \(inputs, targets\): .*inputs is a tensor of shape \(6,\) and type int64",
    ),
    "batches as (target, input)": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, [(Y[:3], X[:3]), (Y[3:], X[3:])]),
        LastbitError,
        r"^give each batch as \(inputs, targets\)",
    ),
    "batch of another shape": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (X[:, :2], Y)),
        LastbitError,
        r"^give batches whose first part is what the model takes.*\(6x2 and 4x3\).*a tensor of shape \(6, 2\)",
    ),
    "batch of another type": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (X.double(), Y)),
        LastbitError,
        "^give batches whose first part is what the model takes.*type float64$",
    ),
    "targets of another shape": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (X, Y[:, None])),
        LastbitError,
        r"^give a loss that takes what the model returns, and targets that fit; .*a tensor of shape \(6, 1\) and",
    ),
    "targets of another type": (
        lambda: HessianOperator(nn.Linear(4, 3), CE, (X, Y.float())),
        LastbitError,
        "^give a loss that takes what the model returns, and targets that fit; .*type float32$",
    ),
    "tuple of outputs": (
        lambda: GaussNewtonOperator(nn.LSTM(4, 3), lambda z, y: z[0].mean(), (X, Y)),
        TypeError,
        "returns a tuple, not one tensor",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_named(mistake: str) -> None:
    act, kind, message = MISTAKES[mistake]
    with pytest.raises(kind, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_evaluation_mode_is_the_way_out() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.1))
    assert HessianOperator(model.eval(), CE, (X, Y)).size == 21


def test_a_preconditioner_must_be_positive() -> None:
    model = nn.Linear(4, 3)
    scale = {p: torch.ones_like(p) for p in model.parameters()}
    scale[model.bias][1] = 0
    with pytest.raises(ValueError, match="preconditioner of bias has entries that are not positive"):
        HessianOperator(model, CE, (X, Y), preconditioner=scale)


def test_a_fault_of_the_model_itself_is_not_explained_away() -> None:
    class Faulty(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            raise RuntimeError("out of paper")

    with pytest.raises(RuntimeError, match=r"^out of paper$"):
        HessianOperator(Faulty(4, 3), CE, (X, Y))
