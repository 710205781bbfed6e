"""Which memory the audited operations have written, and which came from elsewhere or from nobody."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from lastbit.script.audit.bits import is_whole

_FEWEST = 4096  # entries before it is worth looking for those whose memory is gone
_TRAINING = 5  # the argument's position in operations of batch normalisation, behind running_mean and running_var
_NORMALISE = frozenset({"aten::native_batch_norm", "aten::cudnn_batch_norm", "aten::miopen_batch_norm"})


class Written:
    """The union of the parts written so far: intervals, and a flag for each element once a part has gaps.

    Args:
        size: of the memory, in bytes.
        begun: bytes at its beginning that are written.
    """

    def __init__(self, size: int, begun: int = 0) -> None:
        self.size = size
        # The intervals, disjoint and in order: where they begin, and where they end.
        self._begins, self._ends = ([0], [begun]) if begun else ([], [])
        self._flags: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None
        self._unit = 1  # bytes for each flag
        self._left = 0  # flags that are not set

    @property
    def is_whole(self) -> bool:
        """Whether every byte was written."""
        if self._flags is not None:
            return self._left == 0
        return self.size == 0 or (self._begins[:1] == [0] and self._ends[0] >= self.size)

    def add(self, tensor: Tensor) -> None:
        """Add the elements of a tensor in this memory."""
        if tensor.numel() == 0:
            return
        size = tensor.element_size()
        begin = int(tensor.storage_offset()) * size
        if self._flags is None and _has_no_gaps(tensor):
            self._add_interval(begin, begin + tensor.numel() * size)
            return
        self._refine(math.gcd(size, self.size))
        self._flag(tensor, begin)

    def _add_interval(self, begin: int, end: int) -> None:
        """Join it with those that it meets."""
        first, last = bisect_left(self._ends, begin), bisect_right(self._begins, end)
        if first < last:
            begin, end = min(begin, self._begins[first]), max(end, self._ends[last - 1])
        self._begins[first:last], self._ends[first:last] = [begin], [end]

    def _refine(self, unit: int) -> None:
        """Keep a flag for every `unit` bytes, or for fewer."""
        if self._flags is None:
            unit = math.gcd(unit, *self._begins, *self._ends)
            self._flags, self._unit = np.zeros(self.size // unit, dtype=bool), unit
            for begin, end in zip(self._begins, self._ends, strict=True):
                self._flags[begin // unit : end // unit] = True
            self._left = self._flags.size - int(self._flags.sum())
        elif unit < self._unit:
            self._flags, self._left = self._flags.repeat(self._unit // unit), self._left * (self._unit // unit)
            self._unit = unit

    def _flag(self, tensor: Tensor, begin: int) -> None:
        assert self._flags is not None
        flags = self._flags[begin // self._unit :]
        count = tensor.element_size() // self._unit  # flags of an element
        strides = [stride * count for stride in tensor.stride()]
        part = as_strided(flags, (*tensor.shape, count), (*strides, 1))
        self._left -= part.size - int(np.count_nonzero(part))
        part[...] = True
        if self._left <= 0:  # less than the truth where elements of the part share memory
            self._left = self._flags.size - int(np.count_nonzero(self._flags))


def _has_no_gaps(tensor: Tensor) -> bool:
    """Whether its elements lie side by side in memory, in whatever order."""
    expected = 1
    for stride, length in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if length != 1:
            if stride != expected:
                return False
            expected *= length
    return True


class WrittenMemory:
    """The storages that a run has met. It keeps none of them alive, and forgets those that are gone."""

    def __init__(self) -> None:
        # The weak reference keeps the address of the storage's record, its key, from being given to another.
        self._known: dict[int, StorageWeakRef] = {}
        self._unwritten: dict[int, Written] = {}  # key -> what has been written there, not all of it
        self.filled = False  # whether there ever was any
        self._unread: set[int] = set()  # keys of what was computed from unwritten memory, and not read since
        self._unread_and_gone = False
        self._sweep_at = _FEWEST

    @property
    def has_unwritten(self) -> bool:
        """Whether there is any."""
        return bool(self._unwritten)

    @property
    def holds_unread(self) -> bool:
        """Whether something that was computed from unwritten memory was never read: it may be a result."""
        return bool(self._unread) or self._unread_and_gone

    def knows(self, tensor: Tensor) -> bool:
        """Whether its memory was written, or looked at, by an operation before."""
        return tensor.untyped_storage()._cdata in self._known

    def learn(self, tensor: Tensor) -> None:
        """Note that its memory is known."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            if len(self._known) >= self._sweep_at:
                self._sweep()
            self._known[storage._cdata] = StorageWeakRef(storage)  # type: ignore[no-untyped-call]

    def meet(self, tensor: Tensor) -> None:
        """Note that its values were looked at; a part of a larger memory does not make all of it known."""
        if is_whole(tensor):
            self.learn(tensor)

    def forget(self, tensor: Tensor) -> None:
        """Note that its memory is now somebody else's, to be looked at again."""
        key = tensor.untyped_storage()._cdata
        self._known.pop(key, None)
        self._unwritten.pop(key, None)
        self._unread.discard(key)

    def leave_unwritten(self, tensor: Tensor, *, but_for: int = 0, computed: bool = False) -> None:
        """Note that its memory holds what nobody wrote.

        Args:
            tensor: whose memory it is.
            but_for: bytes at its beginning that were written.
            computed: whether what it holds was computed from such memory elsewhere.
        """
        self.learn(tensor)
        storage = tensor.untyped_storage()
        self._unwritten[storage._cdata] = Written(storage.nbytes(), but_for)
        self.filled = True
        if computed:
            self._unread.add(storage._cdata)

    def read(self, tensor: Tensor) -> bool:
        """Note that it is read; return whether it was computed from unwritten memory and not read before."""
        key = tensor.untyped_storage()._cdata
        unread = key in self._unread
        self._unread.discard(key)
        return unread

    def is_unwritten(self, tensor: Tensor) -> bool:
        """Whether some of its memory was allocated and never written."""
        return bool(self._unwritten) and tensor.untyped_storage()._cdata in self._unwritten

    def write(self, tensor: Tensor) -> None:
        """Note that an operation wrote these elements; memory is written once the parts written cover it."""
        if not self._unwritten:
            return
        storage = tensor.untyped_storage()
        written = self._unwritten.get(storage._cdata)
        if written is None:
            return
        if written.size != storage.nbytes():  # resized: nobody knows what it holds
            written = self._unwritten[storage._cdata] = Written(storage.nbytes())
        written.add(tensor)
        if written.is_whole:
            del self._unwritten[storage._cdata]
            self._unread.discard(storage._cdata)

    def _sweep(self) -> None:
        gone = [key for key, known in self._known.items() if known.expired()]  # type: ignore[no-untyped-call]
        for key in gone:
            del self._known[key]
            self._unwritten.pop(key, None)
        self._unread_and_gone |= not self._unread.isdisjoint(gone)
        self._unread.difference_update(gone)
        self._sweep_at = max(_FEWEST, 2 * len(self._known))


def running_statistics(operation: str, args: Sequence[Any]) -> list[Tensor]:
    """The running mean and variance that batch normalisation has updated, though its schema does not say so.

    Args:
        operation: its name, `aten::native_batch_norm`; another one updates none.
        args: that it was called with, by position.
    """
    if operation in _NORMALISE and len(args) > _TRAINING and args[_TRAINING] is True:
        return [value for value in args[3:_TRAINING] if isinstance(value, Tensor)]
    return []
