"""How the loss of a batch is made of the losses of its parts: a sum over samples, or a mean over what.

A loss that is a ratio N / D of two sums over samples obeys L(A and B) (D(A) + D(B)) = D(A) L(A) + D(B) L(B). D is
looked for among counts of samples, of targets that are not ignored, of mask entries, and sums of class weights; a
candidate is held to this identity at every piece of the data before it is used.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import CellType
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.curvature.batches import Piece
from lastbit.curvature.pieces import halves, joined, leaves
from lastbit.errors import LastbitError

Denominator = Callable[[Any, Any], Any]
_IGNORED = -100  # torch's default for cross-entropy, and Hugging Face's
_MOST_TENSORS = 8  # of a batch that are looked at
_RELATIVE = {torch.float64: 1e-6}  # what losses may be off, for a small constant in a denominator; else:
_RELATIVE_NARROW = 2e-5


@dataclass(frozen=True)
class Reduction:
    """How the pieces of the data weigh in the whole."""

    what: str  # for messages: "samples"
    weight: Callable[[Piece], float]
    adds: bool = False  # the whole is the sum of the pieces, not their mean


def _samples(piece: Piece) -> int:
    return piece.samples


BY_SAMPLES = Reduction("samples", _samples)
_SUM = Reduction("nothing (a sum)", lambda piece: 1, adds=True)


def reduction_of(
    loss: Any, denominator: Denominator | None, pieces: Iterator[Piece], value: Callable[[Piece], Tensor]
) -> Reduction:
    """Find out how the losses of the pieces make up the whole's.

    Args:
        loss: what the losses come from; its options are candidates.
        denominator: what it divides by, of inputs and targets, where that is given.
        pieces: one pass over the data.
        value: the loss of a piece.

    Raises:
        LastbitError: nothing explains the losses, or two reductions do and would weigh the pieces differently.
    """
    first = next(pieces)
    second = next(pieces, None)
    if second is None:
        return BY_SAMPLES
    found = candidates(loss, first, denominator)
    trials = _Trials(found, value)
    trials.add(first)
    trials.add(second)
    for piece in pieces:
        trials.add(piece)
    return trials.verdict(denominator is not None)


class _Trials:
    """Losses of pieces beside those of two together, and what each candidate makes of them."""

    def __init__(self, found: Sequence[Reduction], value: Callable[[Piece], Tensor]) -> None:
        self._candidates, self._value = found, value
        self._anchor: tuple[Piece, float] | None = None
        self._empty: list[tuple[Piece, float]] = []
        self._weights: list[list[float]] = []  # of each piece, by candidate
        self._misfit = [0.0] * len(found)  # the largest, relative to what rounding allows
        self._worst: tuple[float, float, float] | None = None  # losses that the first candidate fails at
        self._tested = True  # every piece so far

    def add(self, piece: Piece) -> None:
        """Hold the candidates to a piece beside the first one, or to its halves where the two cannot be joined."""
        self._weights.append([candidate.weight(piece) for candidate in self._candidates])
        own = self._loss(piece)
        if self._anchor is None and (not own or not math.isfinite(own)):
            self._empty.append((piece, own))  # as where every target is ignored: nothing to hold others to
        elif self._anchor is None:
            self._anchor = (piece, own)
            for empty in self._empty:
                self._beside(*empty)
        else:
            self._beside(piece, own)

    def _beside(self, piece: Piece, own: float) -> None:
        assert self._anchor is not None
        both = joined(self._anchor[0], piece)
        if both is not None:
            self._test(both, (self._anchor, (piece, own)))
        elif len(parts := halves(piece)) == 2:
            self._test(piece, [(part, self._loss(part)) for part in parts], own)
        else:
            self._tested = False

    def verdict(self, given: bool) -> Reduction:
        """The first candidate that nothing speaks against.

        Raises:
            LastbitError: there is none, or it cannot be told.
        """
        fitting = [index for index, misfit in enumerate(self._misfit) if misfit <= 1]
        if not fitting:
            raise LastbitError(self._refusal(given))
        best = fitting[0]
        if not self._tested and not all(self._same_weights(best, other) for other in fitting[1:]):
            raise LastbitError(
                "the batches cannot be joined or cut, so that it cannot be told what the loss is a mean over; give "
                "denominator=, a callable from (inputs, targets) to what the loss divides by: lambda x, y: len(y) for "
                "a mean over samples"
            )
        return self._candidates[best]

    def _loss(self, piece: Piece) -> float:
        value = self._value(piece)
        self._relative = _RELATIVE.get(value.dtype, _RELATIVE_NARROW)
        return float(value)

    def _test(self, whole: Piece, parts: Sequence[tuple[Piece, float]], loss: float | None = None) -> None:
        loss = self._loss(whole) if loss is None else loss
        losses = [part_loss for _, part_loss in parts]
        if not math.isfinite(loss):
            return
        allowed = self._relative * max(abs(value) for value in (loss, *losses) if value == value)
        for index, candidate in enumerate(self._candidates):
            weights = [candidate.weight(part) for part, _ in parts]
            misfit = _misfit(candidate, loss, losses, weights) / max(allowed, 1e-300)
            if not misfit <= 1 and index == 0 and self._worst is None:
                self._worst = (loss, losses[0], losses[1])
            self._misfit[index] = max(self._misfit[index], misfit)

    def _same_weights(self, one: int, other: int) -> bool:
        if self._candidates[one].adds or self._candidates[other].adds:
            return False
        ratios = [weights[one] / weights[other] if weights[other] else math.nan for weights in self._weights]
        return all(math.isclose(ratio, ratios[0], rel_tol=1e-6) for ratio in ratios)

    def _refusal(self, given: bool) -> str:
        whole, left, right = self._worst or (math.nan,) * 3
        seen = f"of two parts of the data it is {left:.6g} and {right:.6g}, of both together {whole:.6g}"
        if given:
            return f"denominator= does not explain the loss: {seen}; give what the loss divides its sum by"
        return (
            f"the loss is no sum or mean that parts of the data make up ({seen}): it couples samples, or divides by "
            "something that the targets do not show; give the data as one batch without micro_batch, or denominator=, "
            "a callable from (inputs, targets) to what it divides by, as in denominator=lambda x, y: len(y) for a "
            "mean over samples"
        )


def _misfit(candidate: Reduction, whole: float, losses: Sequence[float], weights: Sequence[float]) -> float:
    """By how much a reduction misses the loss of the whole; infinite where it is no number."""
    counted = [(loss, weight) for loss, weight in zip(losses, weights, strict=True) if weight]
    total = sum(weight for _, weight in counted)
    if not math.isfinite(total) or total <= 0:
        return math.inf
    made = sum(loss * weight for loss, weight in counted)
    miss = abs(whole - (made if candidate.adds else made / total))
    return miss if math.isfinite(miss) else math.inf


def candidates(loss: Any, piece: Piece, denominator: Denominator | None) -> list[Reduction]:
    """The reductions to be tried, the likeliest first."""
    if denominator is not None:
        return [Reduction("denominator", lambda piece: float(denominator(piece.inputs, piece.targets)))]
    ignored, class_weights = _options(loss)
    counts: list[Reduction] = []
    for place, tensor in enumerate(leaves(piece)[:_MOST_TENSORS]):
        counts.extend(_of_tensor(place, tensor, ignored, class_weights))
    exact = [count for count in counts if "class weights" in count.what] if class_weights else []
    return [*exact, BY_SAMPLES, _SUM, *(count for count in counts if count not in exact)]


def _of_tensor(
    place: int, tensor: Tensor, ignored: Sequence[int], class_weights: Sequence[Tensor]
) -> Iterator[Reduction]:
    """What may be counted in one tensor of a batch."""
    columns = [slice(None), slice(1, None)] if tensor.dim() > 1 else [slice(None)]  # language models drop the first
    integer = not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool
    for kept in columns:
        if integer:
            for index in ignored:
                yield Reduction(f"targets that are not {index}", partial(_counted, place, kept, index))
                for weights in class_weights:
                    yield Reduction("the class weights of targets", partial(_weighed, place, kept, index, weights))
        if not tensor.is_complex() and bool((tensor.double() >= 0).all()):
            yield Reduction("the sum of a mask", partial(_summed, place, kept))
        if not integer:
            yield Reduction("entries", partial(_entries, place, kept))


def _leaf(piece: Piece, place: int, kept: slice) -> Tensor:
    tensor = leaves(piece)[place]
    return tensor[..., kept] if kept.start else tensor


def _counted(place: int, kept: slice, ignored: int, piece: Piece) -> float:
    return int((_leaf(piece, place, kept) != ignored).sum())


def _weighed(place: int, kept: slice, ignored: int, weights: Tensor, piece: Piece) -> float:
    classes = _leaf(piece, place, kept).reshape(-1)
    classes = classes[classes != ignored].long().to(weights.device)
    inside = bool(((classes >= 0) & (classes < len(weights))).all())
    return float(weights.double()[classes].sum()) if inside else math.nan


def _summed(place: int, kept: slice, piece: Piece) -> float:
    return float(_leaf(piece, place, kept).double().sum())


def _entries(place: int, kept: slice, piece: Piece) -> float:
    return _leaf(piece, place, kept).numel()


def _options(loss: Any) -> tuple[list[int], list[Tensor]]:
    """Whole numbers that may be an ignored target's, and vectors that may be class weights, as far as a loss tells.

    What a module or a partial function holds, what a function refers to, and the constants in its code. Each is only a
    guess to be tried.
    """
    held: list[Any] = []
    while isinstance(loss, partial):
        held.extend((*loss.args, *loss.keywords.values()))
        loss = loss.func
    if isinstance(loss, nn.Module):
        for module in loss.modules():
            held.extend((*vars(module).values(), *module._parameters.values(), *module._buffers.values()))
    elif callable(loss):
        held.extend(_referred(loss))
    for thing in list(held):
        held.extend(thing.values() if isinstance(thing, Mapping) else thing if isinstance(thing, tuple | list) else ())
        if isinstance(thing, nn.Module):
            held.extend((*vars(thing).values(), *thing._buffers.values()))
    numbers = [thing for thing in held if isinstance(thing, int) and not isinstance(thing, bool)]
    vectors = [
        thing.detach()
        for thing in held
        if isinstance(thing, Tensor) and thing.dim() == 1 and thing.is_floating_point() and len(thing) > 1
    ]
    return list(dict.fromkeys((_IGNORED, *numbers)))[:6], list({id(vector): vector for vector in vectors}.values())[:4]


def _referred(loss: Any) -> Iterator[Any]:
    """What a function refers to."""
    function = inspect.unwrap(getattr(loss, "__func__", loss))
    if not inspect.isfunction(function):
        function = vars(type(loss)).get("__call__")
        yield from getattr(loss, "__dict__", {}).values()
    if not inspect.isfunction(function):
        return
    code, names = function.__code__, function.__globals__
    yield from (held for cell in function.__closure__ or () for held in _in_cell(cell))
    yield from (*(names[name] for name in code.co_names if name in names), *code.co_consts)
    yield from (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    if inspect.ismethod(loss):
        yield from getattr(loss.__self__, "__dict__", {}).values()


def _in_cell(cell: CellType) -> list[Any]:
    """What a closure's cell holds: nothing while its variable has no value."""
    try:
        return [cell.cell_contents]
    except ValueError:
        return []
