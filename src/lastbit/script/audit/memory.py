"""Which memory the audited operations have written, and which came from elsewhere or from nobody."""

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from lastbit.script.audit.written import Written

_FEWEST = 4096  # entries before it is worth looking for those whose memory is gone


class Memory:
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
        """From now on its memory is known."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            if len(self._known) >= self._sweep_at:
                self._sweep()
            self._known[storage._cdata] = StorageWeakRef(storage)  # type: ignore[no-untyped-call]

    def meet(self, tensor: Tensor) -> None:
        """Its values were looked at. A part of a larger memory does not make all of it known."""
        if tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes():
            self.learn(tensor)

    def forget(self, tensor: Tensor) -> None:
        """Its memory is now somebody else's: look at it again."""
        key = tensor.untyped_storage()._cdata
        self._known.pop(key, None)
        self._unwritten.pop(key, None)
        self._unread.discard(key)

    def leave_unwritten(self, tensor: Tensor, *, but_for: int = 0, computed: bool = False) -> None:
        """Its memory holds what nobody wrote.

        Args:
            tensor: it.
            but_for: so many bytes at its beginning, which were written.
            computed: what it holds was computed from such memory elsewhere.
        """
        self.learn(tensor)
        storage = tensor.untyped_storage()
        self._unwritten[storage._cdata] = Written(storage.nbytes(), but_for)
        self.filled = True
        if computed:
            self._unread.add(storage._cdata)

    def read(self, tensor: Tensor) -> bool:
        """Note that it is read. Give whether it was computed from unwritten memory, and not read before."""
        key = tensor.untyped_storage()._cdata
        unread = key in self._unread
        self._unread.discard(key)
        return unread

    def is_unwritten(self, tensor: Tensor) -> bool:
        """Whether some of its memory was allocated and never written."""
        return bool(self._unwritten) and tensor.untyped_storage()._cdata in self._unwritten

    def write(self, tensor: Tensor) -> None:
        """An operation wrote these elements; what is written part by part is written once its parts cover it."""
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
