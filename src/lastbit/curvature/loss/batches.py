"""The data a loss is measured on: one batch or many, cut into pieces that fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from lastbit.curvature.loss.loader import HeldBatches, some_batches
from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.samples import columns, described, parts, refilled, taken


@dataclass(frozen=True, eq=False)
class Piece:
    """Samples whose loss is evaluated in one forward pass."""

    inputs: Any
    targets: Any
    samples: int

    def tensors(self) -> list[Tensor]:
        """The tensors of numbers, targets first; once where a batch is both inputs and targets.

        Arrays of text and dates are left out, and so are sparse and quantised tensors, which few operations take.
        """
        trees = (self.targets,) if self.inputs is self.targets else (self.targets, self.inputs)
        tensors = []
        for column in (column for tree in trees for column in columns(tree)):
            try:
                tensor = torch.as_tensor(column)
            except TypeError:  # an array of text, dates or objects
                continue
            if tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_nested:
                tensors.append(tensor)
        return tensors

    def cut(self, most: int) -> Iterator[Piece]:
        """Pieces of at most so many samples; the piece itself where its samples cannot be told apart."""
        try:
            yield from _cut(self.inputs, self.targets, most)
        except LastbitError:
            yield self

    def shuffled(self, order: Tensor) -> Piece:
        """The samples in another order, int64 (samples,)."""
        inputs = taken(self.inputs, order)
        return Piece(inputs, inputs if self.targets is self.inputs else taken(self.targets, order), self.samples)

    def joined(self, other: Piece) -> Piece | None:
        """The samples of both; None where they do not fit together."""
        try:
            inputs = _joined(self.inputs, other.inputs)
            targets = inputs if self.inputs is self.targets else _joined(self.targets, other.targets)
        except _ApartError:
            return None
        return Piece(inputs, targets, self.samples + other.samples)


class Batches:
    """The batches of a data set, the same at every pass.

    A loader is read once, when the first piece is asked for; see `lastbit.curvature.loss.loader`.

    Args:
        data: one batch, or an iterable of batches. A batch is a pair (inputs, targets), or a mapping, which is both. A
            tuple or a mapping is one batch; so is a list of two that does not hold batches itself, which is what a
            `DataLoader` yields. Inputs and targets are tensors, or nests of them, whose first dimension counts samples.
        micro_batch: most samples in one forward pass; None leaves the batches as they are.

    Raises:
        LastbitTypeError: `data` can be read only once, or is neither a batch nor an iterable.
        LastbitError: `micro_batch` is not a positive integer, or a batch is no pair.
    """

    def __init__(self, data: Any, *, micro_batch: int | None = None) -> None:
        if micro_batch is not None and (not isinstance(micro_batch, int) or micro_batch < 1):
            raise LastbitError(
                f"micro_batch={micro_batch!r} is not allowed; give a positive integer, or None for no limit"
            )
        self._source: Iterable[Any] = [_pair(data)] if _is_batch(data) else _readable_again(data)
        self._micro_batch = micro_batch

    @cached_property
    def _batches(self) -> Iterable[Any]:
        return self._source if isinstance(self._source, list | tuple) else HeldBatches(self._source)

    def pieces(self) -> Iterator[Piece]:
        """The pieces of one pass over the data, in order.

        Raises:
            LastbitError: there are no samples, a batch is no pair, or its tensors disagree on the number of samples.
        """
        total = 0
        for batch in self._batches:
            for piece in _cut(*_pair(batch), self._micro_batch):
                total += piece.samples
                yield piece
        if not total:
            raise LastbitError("the data hold no samples: the loader is empty, or every batch in it is")

    def some(self, count: int, generator: torch.Generator) -> list[Piece]:
        """So many whole batches, drawn at random where the data have an index, else the first; read once."""
        pairs = [_pair(batch) for batch in some_batches(self._source, count, generator)]
        return [Piece(*pair, samples) for pair in pairs if (samples := _samples(*pair))]

    def single(self) -> Piece | None:
        """The only piece of data that are held in memory, or None where there are several or a loader makes them."""
        held = self._batches.held if isinstance(self._batches, HeldBatches) else self._batches
        if not isinstance(held, list) or len(held) != 1:
            return None
        pieces = list(self.pieces())
        return pieces[0] if len(pieces) == 1 else None


def _is_batch(data: Any) -> bool:
    """Whether the data are one batch rather than several."""
    if isinstance(data, tuple | Mapping):
        return True
    if not isinstance(data, list) or len(data) != 2:
        return False
    if all(isinstance(item, Mapping) for item in data):
        return list(data[0]) != list(data[1])  # inputs and targets, or two batches with the same keys
    return not all(isinstance(item, tuple | list) and len(item) == 2 for item in data)


def _readable_again(data: Any) -> Iterable[Any]:
    """An iterable that starts over at every pass; a tensor is refused, since it holds no targets."""
    name = type(data).__name__
    if isinstance(data, Iterator):
        raise LastbitTypeError(f"data is a {name}, which can be read only once; give a list or a DataLoader")
    if isinstance(data, Tensor | np.ndarray | str) or not isinstance(data, Iterable):
        indexed = hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, Tensor | str)
        loader = f"; a data set goes into a loader: DataLoader({name.lower()}, batch_size=256)" if indexed else ""
        raise LastbitTypeError(f"data is a {name}; give one (inputs, targets) batch or an iterable of them{loader}")
    if isinstance(data, list) and data and all(isinstance(item, Tensor) for item in data):
        _pair(data)  # which says what is wrong with a single batch
    batches: Iterable[Any] = data
    return batches


def _pair(batch: Any) -> tuple[Any, Any]:
    """Inputs and targets of a batch; a mapping is both.

    Raises:
        LastbitError: it is neither a pair nor a mapping.
    """
    if isinstance(batch, Mapping):
        return batch, batch
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    if isinstance(batch, tuple | list) and len(batch) > 2:
        raise LastbitError(
            f"a batch has {len(batch)} entries; it must be an (inputs, targets) pair, so put what the model and what "
            "the loss takes into a tuple each: (x, (y, weights)) for loss(outputs, (y, weights)), or ((a, b), y)"
        )
    raise LastbitError(
        f"a batch is {described(batch)}; it must be an (inputs, targets) pair, as in "
        "[(batch.x, batch.y) for batch in loader], or a mapping that both model and loss take"
    )


def _cut(inputs: Any, targets: Any, most: int | None) -> Iterator[Piece]:
    """The pieces of one batch; views, no copies."""
    samples = _samples(inputs, targets)
    size = most or max(samples, 1)
    if samples <= size:
        if samples:
            yield Piece(inputs, targets, samples)
        return
    for start in range(0, samples, size):
        part = slice(start, min(start + size, samples))
        cut_inputs = _taken(inputs, part, samples)
        cut_targets = cut_inputs if targets is inputs else _taken(targets, part, samples)
        yield Piece(cut_inputs, cut_targets, part.stop - start)


def _taken(tree: Any, part: slice, samples: int) -> Any:
    """Some samples of a nest: of its tensors and arrays, and of lists with a plain object for each sample.

    Raises:
        LastbitError: it holds an object whose samples are not known.
    """
    held = parts(tree)
    if held is not None:
        by_sample = isinstance(tree, list | tuple) and len(held) == samples and next(columns(tree), None) is None
        return tree[part] if by_sample else refilled(tree, [_taken(item, part, samples) for item in held])
    if isinstance(tree, Tensor | np.ndarray):
        return tree[part] if tree.ndim else tree  # a temperature belongs to every sample
    if tree is None or isinstance(tree, str | bytes | int | float):
        return tree
    raise LastbitError(
        f"micro_batch cuts batches, and a batch holds {described(tree)}, whose samples cannot be told apart; give "
        "tensors, or tuples, lists, mappings and dataclasses of them"
    )


def _samples(inputs: Any, targets: Any) -> int:
    """Number of samples: the common first dimension of all tensors of a batch that have one."""
    counted = [*_counts(inputs), *_counts(targets)]
    counts = {count for count in counted if count is not None} or {1 for _ in counted}
    if len(counts) == 1:
        return counts.pop()
    if not counts:
        raise LastbitError(
            f"a batch holds no tensors ({described(inputs)}, {described(targets)}), so its samples cannot be counted; "
            "give tensors, or tuples, lists, mappings and dataclasses of them"
        )
    raise LastbitError(f"the tensors of a batch have {sorted(counts)} samples; their first dimensions must agree")


def _counts(tree: Any) -> Iterator[int | None]:
    """Numbers of samples of a nest's tensors, of packed sequences that of sequences; None for a tensor of dim 0."""
    if isinstance(tree, PackedSequence):
        yield int(tree.batch_sizes[0])
    elif isinstance(tree, Tensor | np.ndarray):
        yield len(tree) if tree.ndim else None
    else:
        for item in parts(tree) or ():
            yield from _counts(item)


class _ApartError(Exception):
    """Two nests that cannot be joined."""


def _joined(one: Any, other: Any) -> Any:
    """A nest like the first whose tensors hold the samples of both."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.dim() == 0 and torch.equal(one, other):
            return one
        if one.dim() == 0 or one.shape[1:] != other.shape[1:] or one.dtype != other.dtype or one.device != other.device:
            raise _ApartError
        return torch.cat([one, other])
    held, others = parts(one), parts(other)
    if type(one) is not type(other) or (held is None and not isinstance(one, str | int | float | None)):
        raise _ApartError
    if held is None or others is None:
        if one != other:
            raise _ApartError
        return one
    if len(held) != len(others):
        raise _ApartError
    return refilled(one, [_joined(left, right) for left, right in zip(held, others, strict=True)])
