"""How the loss of a batch follows from those of its parts: as a sum, or as a mean weighted by what it divides by.

A loss N / D, with N and D sums over samples, obeys L(A and B) (D(A) + D(B)) = D(A) L(A) + D(B) L(B). D is looked for
among counts of samples, of targets that are not ignored, of mask entries, and sums of class weights. A candidate must
satisfy this identity at every piece of the data before it is used.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from types import CellType
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.curvature.loss.batches import Piece
from lastbit.errors import LastbitError

Denominator = Callable[[Any, Any], Any]
_IGNORED = -100  # torch's default for cross-entropy, and Hugging Face's
_MOST_TENSORS = 8  # of a batch, in which something is counted


@dataclass(frozen=True)
class Reduction:
    """How the pieces of the data are weighted."""

    what: str  # for messages: "samples"
    weight: Callable[[Piece], float]
    adds: bool = False  # the total is the sum of the pieces, not their mean

    def misfit(self, total: float, losses: Sequence[float], weights: Sequence[float]) -> float:
        """The error of the total predicted from the parts; infinite where it is no number."""
        counted = [(loss, weight) for loss, weight in zip(losses, weights, strict=True) if weight]
        divisor = sum(weight for _, weight in counted)
        if not math.isfinite(divisor) or divisor <= 0:
            return math.inf
        made = sum(loss * weight for loss, weight in counted)
        error = abs(total - (made if self.adds else made / divisor))
        return error if math.isfinite(error) else math.inf


BY_SAMPLES = Reduction("samples", lambda piece: piece.samples)
_SUM = Reduction("nothing (a sum)", lambda piece: 1, adds=True)


def reduction_of(
    loss: Any, denominator: Denominator | None, pieces: Iterator[Piece], value: Callable[[Piece], Tensor]
) -> Reduction:
    """Infer how the losses of the pieces make up the loss of all the data.

    Args:
        loss: the loss itself; its options are candidates.
        denominator: what it divides by, of inputs and targets, where that is given.
        pieces: one pass over the data.
        value: the loss of a piece.

    Raises:
        LastbitError: nothing explains the losses, or two reductions do and would weight the pieces differently.
    """
    first, second = next(pieces), next(pieces, None)
    if second is None:
        return BY_SAMPLES
    trials = _Trials(_candidates(loss, first, denominator), value)
    for piece in chain((first, second), pieces):
        trials.add(piece)
    return trials.verdict(denominator is not None)


class _Trials:
    """Losses of pieces and of two pieces together, and how well each candidate explains them."""

    def __init__(self, candidates: Sequence[Reduction], value: Callable[[Piece], Tensor]) -> None:
        self._candidates, self._value = candidates, value
        self._anchor: tuple[Piece, float] | None = None
        self._empty: list[tuple[Piece, float]] = []
        self._weights: list[list[float]] = []  # of each piece, by candidate
        self._misfit = [0.0] * len(candidates)  # the largest, relative to what rounding allows
        self._worst: tuple[float, float, float] | None = None  # losses that the first candidate fails to explain
        self._tested = True  # every piece so far

    def add(self, piece: Piece) -> None:
        """Test the candidates on a piece and the first one, or on its halves where the two cannot be joined."""
        self._weights.append([candidate.weight(piece) for candidate in self._candidates])
        own = self._loss(piece)
        if self._anchor is not None:
            self._beside(piece, own)
        elif not own or not math.isfinite(own):
            self._empty.append((piece, own))  # as where every target is ignored: nothing to compare others with
        else:
            self._anchor = (piece, own)
            for empty in self._empty:
                self._beside(*empty)

    def verdict(self, given: bool) -> Reduction:
        """The first candidate that every test allows.

        Raises:
            LastbitError: there is none, or the tests cannot decide.
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

    def _beside(self, piece: Piece, own: float) -> None:
        assert self._anchor is not None
        both = self._anchor[0].joined(piece)
        if both is not None:
            self._test(both, (self._anchor, (piece, own)))
        elif len(halves := list(piece.cut(-(-piece.samples // 2)))) == 2:
            self._test(piece, [(half, self._loss(half)) for half in halves], own)
        else:
            self._tested = False

    def _loss(self, piece: Piece) -> float:
        value = self._value(piece)
        self._rounding = 1e-6 if value.dtype == torch.float64 else 2e-5  # with room for a constant in a denominator
        return float(value)

    def _test(self, total: Piece, parts: Sequence[tuple[Piece, float]], loss: float | None = None) -> None:
        loss = self._loss(total) if loss is None else loss
        if not math.isfinite(loss):
            return
        losses = [part_loss for _, part_loss in parts]
        allowed = self._rounding * max(abs(value) for value in (loss, *losses) if value == value)
        for index, candidate in enumerate(self._candidates):
            weights = [candidate.weight(part) for part, _ in parts]
            misfit = candidate.misfit(loss, losses, weights) / max(allowed, 1e-300)
            if not misfit <= 1 and index == 0 and self._worst is None:
                self._worst = (loss, losses[0], losses[1])
            self._misfit[index] = max(self._misfit[index], misfit)

    def _same_weights(self, one: int, other: int) -> bool:
        if self._candidates[one].adds or self._candidates[other].adds:
            return False
        ratios = [weights[one] / weights[other] if weights[other] else math.nan for weights in self._weights]
        return all(math.isclose(ratio, ratios[0], rel_tol=1e-6) for ratio in ratios)

    def _refusal(self, given: bool) -> str:
        total, left, right = self._worst or (math.nan,) * 3
        seen = f"of two parts of the data it is {left:.6g} and {right:.6g}, of both together {total:.6g}"
        if given:
            return f"denominator= does not explain the loss: {seen}; give what the loss divides its sum by"
        return (
            f"the loss is no sum or mean that parts of the data make up ({seen}): it couples samples, or divides by "
            "something that the targets do not show; give the data as one batch without micro_batch, or denominator=, "
            "a callable from (inputs, targets) to what it divides by, as in denominator=lambda x, y: len(y) for a "
            "mean over samples"
        )


def _candidates(loss: Any, piece: Piece, denominator: Denominator | None) -> list[Reduction]:
    """The reductions to be tried, the likeliest first."""
    if denominator is not None:
        return [Reduction("denominator", lambda piece: float(denominator(piece.inputs, piece.targets)))]
    ignored, class_weights = _options(loss)
    counts: list[Reduction] = []
    for place, tensor in enumerate(piece.tensors()[:_MOST_TENSORS]):
        counts.extend(_of_tensor(place, tensor, ignored, class_weights))
    exact = [count for count in counts if "class weights" in count.what] if class_weights else []
    return [*exact, BY_SAMPLES, _SUM, *(count for count in counts if count not in exact)]


def _of_tensor(
    place: int, tensor: Tensor, ignored: Sequence[int], class_weights: Sequence[Tensor]
) -> Iterator[Reduction]:
    """What may be counted in one tensor of a batch."""
    columns = [slice(None), slice(1, None)] if tensor.dim() > 1 else [slice(None)]  # language models drop the first
    integer = not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype != torch.bool

    def of(what: str, columns: slice, count: Callable[[Tensor], float]) -> Reduction:
        """A count in some columns of the tensor at this place of a piece."""
        part = (..., columns) if columns.start else ()
        return Reduction(what, lambda piece: count(piece.tensors()[place][part]))

    for kept in columns:
        if integer:
            for index in ignored:
                yield of(f"targets that are not {index}", kept, partial(_not_ignored, index))
                for weights in class_weights:
                    yield of("the class weights of targets", kept, partial(_weighted, index, weights))
        if not tensor.is_complex() and bool((tensor.double() >= 0).all()):
            yield of("the sum of a mask", kept, lambda tensor: float(tensor.double().sum()))
        if not integer:
            yield of("entries", kept, torch.numel)


def _not_ignored(ignored: int, targets: Tensor) -> float:
    return int((targets != ignored).sum())


def _weighted(ignored: int, weights: Tensor, targets: Tensor) -> float:
    classes = targets.reshape(-1)
    classes = classes[classes != ignored].long().to(weights.device)
    inside = bool(((classes >= 0) & (classes < len(weights))).all())
    return float(weights.double()[classes].sum()) if inside else math.nan


def _options(loss: Any) -> tuple[list[int], list[Tensor]]:
    """Guesses to be tested: integers that may mark an ignored target, and vectors that may be class weights.

    They come from what a module or a partial function holds, and from what a function and its code refer to.
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
    tensors = [thing.detach() for thing in held if isinstance(thing, Tensor) and thing.is_floating_point()]
    vectors = [tensor for tensor in tensors if tensor.dim() == 1 and len(tensor) > 1]
    return list(dict.fromkeys((_IGNORED, *numbers)))[:6], list({id(vector): vector for vector in vectors}.values())[:4]


def _referred(loss: Any) -> Iterator[Any]:
    """What a function refers to: closure cells, globals, constants, defaults, and attributes of its owner."""
    function = inspect.unwrap(getattr(loss, "__func__", loss))
    if not inspect.isfunction(function):
        function = vars(type(loss)).get("__call__")
        yield from getattr(loss, "__dict__", {}).values()
    if not inspect.isfunction(function):
        return
    code, names = function.__code__, function.__globals__
    yield from (cell.cell_contents for cell in function.__closure__ or () if cell != CellType())  # but empty ones
    yield from (*(names[name] for name in code.co_names if name in names), *code.co_consts)
    yield from (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    if inspect.ismethod(loss):
        yield from getattr(loss.__self__, "__dict__", {}).values()
