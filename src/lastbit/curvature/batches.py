"""The data a loss is measured on: one batch or many, cut into pieces that fit into memory, weighted by samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lastbit.errors import LastbitError, LastbitTypeError


@dataclass(frozen=True, eq=False)
class Piece:
    """Samples whose loss is evaluated in one forward pass."""

    inputs: Any
    targets: Any
    samples: int


class Batches:
    """The batches of a data set, read anew at every pass.

    Args:
        data: one (inputs, targets) batch, or an iterable of such batches. A tuple is one batch; so is a list of two
            that does not hold batches itself, which is what a `DataLoader` yields. Inputs and targets are tensors or
            tuples, lists and mappings of tensors, whose first dimension counts samples.
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
        self._batches = [_pair(data)] if _is_batch(data) else _readable_again(data)
        self._micro_batch = micro_batch

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

    def single(self) -> Piece | None:
        """The only piece of data that are held in memory, or None where there are several or a loader makes them."""
        if not isinstance(self._batches, list) or len(self._batches) != 1:
            return None
        pieces = list(self.pieces())
        return pieces[0] if len(pieces) == 1 else None


def _is_batch(data: Any) -> bool:
    """Whether the data are one batch rather than several."""
    if isinstance(data, tuple):
        return True
    pair = isinstance(data, list) and len(data) == 2
    return pair and not all(isinstance(item, tuple | list) and len(item) == 2 for item in data)


def _readable_again(data: Any) -> Iterable[Any]:
    """An iterable that starts over at every pass; a tensor is refused, for it holds no targets."""
    if isinstance(data, Tensor) or not isinstance(data, Iterable):
        raise LastbitTypeError(
            f"data is a {type(data).__name__}; give one (inputs, targets) batch or an iterable of them"
        )
    if isinstance(data, Iterator):
        raise LastbitTypeError(
            f"data is a {type(data).__name__}, which can be read only once; give a list or a DataLoader"
        )
    return data


def _pair(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    shape = f"{len(batch)} entries" if isinstance(batch, tuple | list) else f"type {type(batch).__name__}"
    raise LastbitError(f"a batch has {shape}; it must be an (inputs, targets) pair")


def _cut(inputs: Any, targets: Any, micro_batch: int | None) -> Iterator[Piece]:
    """The pieces of one batch; views, no copies."""
    samples = _samples(inputs, targets)
    size = micro_batch or max(samples, 1)
    if samples <= size:
        if samples:
            yield Piece(inputs, targets, samples)
        return
    for start in range(0, samples, size):
        part = slice(start, min(start + size, samples))
        yield Piece(_mapped(inputs, _taker(part)), _mapped(targets, _taker(part)), part.stop - start)


def _taker(part: slice) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor[part]


def _samples(inputs: Any, targets: Any) -> int:
    """Number of samples: the common first dimension of all tensors of a batch."""
    counts = {len(tensor) if tensor.dim() else 1 for tensor in (*_tensors(inputs), *_tensors(targets))}
    if len(counts) == 1:
        return counts.pop()
    if not counts:
        raise LastbitError("a batch holds no tensors, so its samples cannot be counted")
    raise LastbitError(f"the tensors of a batch have {sorted(counts)} samples; their first dimensions must agree")


def _tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and mappings."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for item in tree.values():
            yield from _tensors(item)
    elif isinstance(tree, tuple | list):
        for item in tree:
            yield from _tensors(item)


def _mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same nest with every tensor changed; anything else stays."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: _mapped(item, change) for key, item in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(_mapped(item, change) for item in tree)
    return tree


def placed(tree: Any, device: torch.device, dtype: torch.dtype | None) -> Any:
    """Inputs or targets on a device; floating-point tensors in `dtype` where one is given."""

    def place(tensor: Tensor) -> Tensor:
        """Return the tensor on the device, in the dtype where it is floating-point."""
        return tensor.to(device, dtype if tensor.is_floating_point() else None)

    return _mapped(tree, place)
