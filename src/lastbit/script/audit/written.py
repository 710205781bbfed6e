"""Which bytes of a piece of memory have been written."""

import math
from bisect import bisect_left, bisect_right

import numpy as np
from numpy.lib.stride_tricks import as_strided
from torch import Tensor


class Written:
    """The union of the parts written so far: intervals, and a flag for each element once a part has gaps.

    Args:
        size: of the memory, in bytes.
        begun: so many bytes at its beginning are written.
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
        """Whether there is no byte left."""
        if self._flags is not None:
            return self._left == 0
        return self.size == 0 or (self._begins[:1] == [0] and self._ends[0] >= self.size)

    def add(self, tensor: Tensor) -> None:
        """The elements of a tensor in this memory were written."""
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
        """Keep a flag for so many bytes each, or for fewer."""
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
        each = tensor.element_size() // self._unit  # flags of an element
        strides = [stride * each for stride in tensor.stride()]
        part = as_strided(flags, (*tensor.shape, each), (*strides, 1))
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
