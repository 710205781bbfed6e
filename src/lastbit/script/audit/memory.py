"""Which memory the audited operations have written, and which came from elsewhere or from nobody."""

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

_FEWEST = 4096  # entries before it is worth looking for those whose memory is gone


class Memory:
    """The storages that a run has met. It keeps none of them alive, and forgets those that are gone."""

    def __init__(self) -> None:
        # The weak reference keeps the address of the storage's record, its key, from being given to another.
        self._known: dict[int, StorageWeakRef] = {}
        self._unwritten: dict[int, set[tuple[int, int]]] = {}  # key -> (offset, bytes) of what was written there
        self._sweep_at = _FEWEST

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
        self._known.pop(tensor.untyped_storage()._cdata, None)

    def leave_unwritten(self, tensor: Tensor) -> None:
        """Nothing was written to its memory yet."""
        self.learn(tensor)
        self._unwritten[tensor.untyped_storage()._cdata] = set()

    def is_unwritten(self, tensor: Tensor) -> bool:
        """Whether some of its memory was allocated and never written."""
        return bool(self._unwritten) and tensor.untyped_storage()._cdata in self._unwritten

    def write(self, tensor: Tensor) -> None:
        """An operation wrote these elements; parts written one by one add up."""
        if not self._unwritten:
            return
        storage = tensor.untyped_storage()
        parts = self._unwritten.get(storage._cdata)
        if parts is not None:
            parts.add((tensor.data_ptr(), tensor.numel() * tensor.element_size()))
            if sum(size for _, size in parts) >= storage.nbytes():
                del self._unwritten[storage._cdata]

    def _sweep(self) -> None:
        gone = [key for key, known in self._known.items() if known.expired()]  # type: ignore[no-untyped-call]
        for key in gone:
            del self._known[key]
            self._unwritten.pop(key, None)
        self._sweep_at = max(_FEWEST, 2 * len(self._known))
