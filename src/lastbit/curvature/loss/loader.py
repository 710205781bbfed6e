"""Read the batches of a loader once, and leave the loader as it was.

A `DataLoader` itself is not iterated: it may be in the middle of an epoch, and one with persistent workers would start
over. It is read through a loader of our own, without workers, whose batches are those that its sampler names now. What
reading changes in samplers, generators and data sets is put back.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from lastbit.curvature.untouched.undisturbed import as_read, undisturbed
from lastbit.errors import LastbitError
from lastbit.samples import Column, columns, mapped
from lastbit.tensors import bits

HELD = 2**30  # bytes of batches that are held in memory
_ENDLESS = 1000  # batches per sample of the data set, after which a sampler counts as endless


class HeldBatches:
    """The batches of a loader, in memory; where they are too many, read anew at every pass.

    Args:
        source: an iterable of batches that starts over when it is iterated again.

    Raises:
        LastbitError: two passes yield different samples, reading changes what cannot be put back, or there is more
            than can be held and no index to read it by.
    """

    def __init__(self, source: Iterable[Any]) -> None:
        source = _innermost(source)
        with undisturbed(source, installed_too=True) as state:
            self._own = _own(source) if isinstance(source, DataLoader) else source
            if self._own is source:
                for loader in state.loaders:  # of a wrapper; `undisturbed` puts them back
                    vars(loader).update(vars(_own(loader)))
            self.held, first = _read(self._own)
            second = Counter(itertools.chain.from_iterable(map(_samples, self._own)))
        if first != second:
            raise LastbitError(
                "the data yield other samples each time they are read, so the loss is not one function of the weights; "
                "give data without random augmentation, or fixed batches, such as list(loader)"
            )

    def __iter__(self) -> Iterator[Any]:
        if self.held is not None:
            yield from self.held
            return
        state = as_read(self._own)
        try:
            yield from self._own
        finally:
            state.restore()


def some_batches(source: Iterable[Any], count: int, generator: torch.Generator) -> list[Any]:
    """So many batches, drawn at random where the source has an index, else its first; the source is left as it was.

    They are read once, so that they may be augmented at random.
    """
    if isinstance(source, list | tuple):
        return [source[place] for place in _drawn(len(source), count, generator)]
    source = _innermost(source)
    with undisturbed(source, installed_too=True) as state:
        own = _own(source) if isinstance(source, DataLoader) else source
        if own is source:
            for loader in state.loaders:  # of a wrapper; `undisturbed` puts them back
                vars(loader).update(vars(_own(loader)))
        elif isinstance(own, DataLoader) and not isinstance(own.dataset, IterableDataset):
            key = "sampler" if own.batch_sampler is None else "batch_sampler"
            named = list(vars(own)[key])
            vars(own)[key] = [named[place] for place in _drawn(len(named), count, generator)]
        return [mapped(batch, _copied) for batch in itertools.islice(own, count)]


def _drawn(length: int, count: int, generator: torch.Generator) -> list[int]:
    drawn: list[int] = torch.randperm(length, generator=generator, device="cpu")[:count].tolist()
    return sorted(drawn)


def _innermost(source: Any) -> Any:
    """The loader inside Accelerate's wrapper, which reports every pass to gradient accumulation."""
    while isinstance(inner := getattr(source, "base_dataloader", None), DataLoader):
        source = inner
    return source


def _own(loader: DataLoader[Any]) -> DataLoader[Any]:
    """A loader of the same batches that shares no iterator, worker or generator with the one given.

    Their order is fixed where the data set has an index. A subclass keeps an `__iter__` of its own, unless it holds a
    running iterator, as loaders do that keep their workers forever.
    """
    own, keeps_iter = copy.copy(loader), type(loader).__iter__ is not DataLoader.__iter__
    running = any(isinstance(value, _BaseDataLoaderIter) for key, value in vars(loader).items() if key != "_iterator")
    if not keeps_iter or running or _of_torch(type(loader)):
        own.__class__ = DataLoader
    workers = min(1, loader.num_workers) if loader.worker_init_fn else 0  # it prepares the data set in a worker
    quiet = {"persistent_workers": False, "pin_memory": False, "timeout": 0, "_iterator": None}
    # Past DataLoader's own __setattr__, which forbids these once it is made.
    vars(own).update(quiet, num_workers=workers, prefetch_factor=2 if workers else None, generator=torch.Generator())
    if not isinstance(loader.dataset, IterableDataset):
        vars(own)["sampler" if loader.batch_sampler is None else "batch_sampler"] = _indices(loader)
    return own


def _of_torch(kind: type) -> bool:
    """Whether a class of loaders reads batches as torch's own does, stateful ones among them."""
    return kind.__module__.partition(".")[0] in ("torch", "torchdata")


def _indices(loader: DataLoader[Any]) -> list[Any]:
    """The sampler's indices of one pass: batches of them, or single ones where the data set makes batches.

    Raises:
        LastbitError: it does not end.
    """
    sampler = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    try:
        return list(itertools.islice(sampler, len(loader)))
    except (TypeError, NotImplementedError):  # the sampler has no length
        most = _ENDLESS * (1 + len(loader.dataset))  # type: ignore[arg-type]
    named = list(itertools.islice(sampler, most))
    if len(named) == most:
        raise LastbitError(
            f"the loader's sampler ({type(sampler).__name__}) named {most} batches and does not end; give fewer "
            "batches, such as list(itertools.islice(loader, 8))"
        )
    return named


def _read(source: Iterable[Any]) -> tuple[list[Any] | None, Counter[bytes]]:
    """The batches, None where they are too many to be held, and how often each sample is among them.

    Raises:
        LastbitError: they are too many, and the source is no loader with an index.
    """
    indexed = isinstance(source, DataLoader) and not isinstance(source.dataset, IterableDataset)
    held: list[Any] = []
    size, counts = 0, Counter[bytes]()
    for batch in source:
        counts.update(_samples(batch))
        size += sum(column.nbytes for column in columns(batch))
        if size <= HELD:
            held.append(mapped(batch, _copied))
        elif not indexed:
            raise LastbitError(
                f"the data hold more than {HELD / 2**30:g} GiB, the most that is kept in memory; give fewer batches, "
                "such as list(itertools.islice(loader, 8))"
            )
        else:
            held.clear()
    return (held if size <= HELD else None), counts


def _copied(leaf: Any) -> Any:
    """A copy, since a loader may write its next batch into the same memory."""
    return leaf.detach().clone() if isinstance(leaf, Tensor) else copy.copy(leaf)


def _samples(batch: Any) -> Iterator[bytes]:
    """A digest of each sample of a batch; a single one where its tensors disagree on the number of samples."""
    rows = [_rows(column) for column in columns(batch)]
    if len({len(of_column) for of_column in rows}) != 1:
        rows = [[b"".join(of_column)] for of_column in rows]
    for sample in zip(*rows, strict=False):
        yield hashlib.blake2b(b"|".join(sample), digest_size=16).digest()


def _rows(column: Column) -> list[bytes]:
    """The bytes of each sample."""
    array = column if not isinstance(column, Tensor) else column.detach().cpu().contiguous()
    if array.ndim == 0:
        return [_bytes(array)]
    return [_bytes(row) for row in array]


def _bytes(row: Column) -> bytes:
    return bits(row) if isinstance(row, Tensor) else row.tobytes()
