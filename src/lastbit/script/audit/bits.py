"""Bits of tensors: which the audit can look into, their digest, what fresh memory holds, what a repetition gives."""

import ctypes
import hashlib
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import deterministic

_PLAIN_TYPES = (Tensor, torch.nn.Parameter)
_HANDS_ON = Tensor.__torch_dispatch__  # does nothing

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
# Sums are kept in this many lanes. A prime: rows, images and channels have round sizes, and exchanging two of them
# would leave every lane's sum as it was if the number of lanes divided their size.
_LANES = 1021
_LOGICAL_LANES = 509  # of `logical_digest`, whose last step takes longer
# Below so many rows a checksum of all bytes (4 GB/s) takes less time than setting up the sums (40 GB/s).
_FEW_ROWS = 2
_NOTHING = memoryview(b"")
# Numbers that no program chokes on, and that show wherever they are used; last what fresh memory mostly holds.
_REAL, _WHOLE = (0.5, 1.5, 0.0), (0, 1, 0)
ALIKE = 2  # for either run, where memory is to hold the same


def tensors(value: Any) -> list[Tensor]:
    """The tensors in an argument or a result: itself, or those in a list or tuple."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [item for part in value for item in tensors(part)]
    return []


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor's values are bytes in memory that can be looked at."""
    return (
        tensor.layout is torch.strided
        and tensor.device.type != "meta"
        and not tensor.is_quantized
        and not tensor.is_nested
        and not is_foreign(type(tensor))
        and (tensor.data_ptr() != 0 or tensor.numel() == 0)  # memory may be given back while a tensor of it lives
    )


def is_foreign(kind: type) -> bool:
    """Whether a class of tensors overrides torch's operations."""
    return kind not in _PLAIN_TYPES and getattr(kind, "__torch_dispatch__", _HANDS_ON) != _HANDS_ON


def outline(tensor: Tensor) -> tuple[int, ...]:
    """The shape, or what else is known of the size of a tensor that has none."""
    return (tensor.dim(), tensor.numel()) if tensor.is_nested else tuple(tensor.shape)


def is_whole(tensor: Tensor) -> bool:
    """Whether it is as long as the memory that it lies in, and so no part of more."""
    return tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()


def cpu_copy(tensor: Tensor) -> Tensor:
    """A copy in the host's memory, in order and of real numbers."""
    tensor = tensor.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor.cpu().contiguous().clone()


def as_integers(tensor: Tensor) -> Tensor:
    """The bits of a tensor of real numbers, as whole numbers, in one row."""
    return tensor.contiguous().view(_BITS[tensor.element_size()]).flatten()


def digest(tensor: Tensor) -> int:
    """A 32-bit digest of the bits of a strided tensor and of their order: equal bits give equal digests.

    The bytes are summed as 64-bit integers modulo 2^64 in 1021 lanes, word p in lane p mod 1021; CRC-32 reduces
    lanes and rest. Changes of two words escape if they cancel within a lane, as those of the signs of two numbers in
    float64 do, an exchange of two blocks of equal size if their distance is a multiple of 8168 bytes, any other change
    with probability 2^-32.
    """
    if not _fills_its_memory(tensor):
        tensor = tensor.contiguous()
    lanes, rest = _summed(tensor)
    return zlib.crc32(lanes, zlib.crc32(rest))


def logical_digest(tensor: Tensor) -> int:
    """A 64-bit digest of the bits of a contiguous tensor: the same on every device, and for every memory format.

    Sums as those of `digest`, in 509 lanes: what cancels within a lane escapes here too, such as all signs of a tensor
    of 1018 n numbers in float64, and an exchange of two blocks whose distance is a multiple of 4072 bytes. BLAKE2b
    reduces lanes and rest, so that any other change escapes with probability 2^-64. Shape and type do not count.
    """
    lanes, rest = _summed(tensor, _LOGICAL_LANES)
    state = hashlib.blake2b(rest, digest_size=8)
    state.update(lanes)
    return int.from_bytes(state.digest(), "little")


def _fills_its_memory(tensor: Tensor) -> bool:
    """Whether its elements are exactly the bytes from its address on, in whatever order of the dimensions."""
    if tensor.is_contiguous():
        return True
    return is_whole(tensor) and 0 not in tensor.stride()


def _summed(tensor: Tensor, lanes: int = _LANES) -> tuple[memoryview, memoryview]:
    """The sums in lanes of a tensor's bytes, in the order in which they lie, and the bytes behind whole rows of lanes.

    There are no sums where the tensor is small.
    """
    size = tensor.numel() * tensor.element_size()
    row = 8 * lanes  # bytes
    rows = size // row if size >= _FEW_ROWS * row else 0
    if size == 0:
        return _NOTHING, _NOTHING
    if tensor.device.type != "cpu":
        return _summed_on_device(tensor, rows, lanes)
    memory = memoryview((ctypes.c_char * size).from_address(tensor.data_ptr()))
    if not rows:
        return _NOTHING, memory
    words = np.frombuffer(memory, np.uint64, rows * lanes).reshape(rows, lanes)
    return np.add.reduce(words, axis=0).data, memory[rows * row :]


def _summed_on_device(tensor: Tensor, rows: int, lanes: int) -> tuple[memoryview, memoryview]:
    """The same in torch's operations, for memory that is not the host's."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    memory = tensor.contiguous().flatten().view(torch.uint8)
    whole = memory[: 8 * rows * lanes]
    if whole.storage_offset() % 8:  # of bytes, where words begin at every eighth
        whole = whole.clone()
    sums = whole.view(torch.int64).view(rows, lanes).sum(0) if rows else whole
    return sums.cpu().numpy().data, memory[8 * rows * lanes :].cpu().numpy().data


def fill(tensor: Tensor, which: int) -> None:
    """Fill a tensor with the values of run 0 or 1, or ALIKE."""
    tensor.fill_((_REAL if tensor.is_floating_point() else _WHOLE)[which])


def untouched(mine: Tensor, theirs: Tensor, which: int) -> Tensor:
    """Where two tensors hold what run `which` and the other were filled with: nobody wrote there."""
    pairs = ((kind[which], kind[1 - which]) for kind in (_REAL, _WHOLE))
    return torch.stack([(mine == one) & (theirs == other) for one, other in pairs]).any(0)


def fill_rest(tensor: Tensor, written: int, which: int) -> None:
    """Fill the memory of a tensor that has grown, from the first whole element behind `written` bytes on."""
    size = tensor.element_size()
    first, count = -(-written // size), tensor.untyped_storage().nbytes() // size
    fill(tensor.as_strided((count - first,), (1,), first), which)


FILLED, ONE_THREAD = "filled", "one thread"
_TIMES = 4  # repetitions, each with other values left behind in memory
_SIZES = (*range(4, 260, 4), *(256 << power for power in range(1, 9)))  # bytes of pieces that the allocator gives again
_PIECES = 4  # of each size


def repeat(func: Any, args: Sequence[Any], kwargs: Any, side: int) -> dict[str, tuple[int, ...]]:
    """Digests of an operation's results where fresh memory is filled alike, and of those on one thread where it is not.

    Args:
        func: an operation that changes none of its arguments and draws no random numbers.
        args: of it.
        kwargs: of it.
        side: 0 or 1; memory that is not filled holds something else on either.
    """
    digests = {}
    with _filling():
        digests[FILLED] = _digests(func(*args, **kwargs))
    digests[ONE_THREAD] = ()
    with _on_one_thread():
        for time in range(_TIMES):
            _litter(side + time % 2)
            digests[ONE_THREAD] += _digests(func(*args, **kwargs))
    return digests


def where_unwritten(func: Any, args: Sequence[Any], kwargs: Any) -> list[Tensor | None]:
    """For each of an operation's results, in one row, where it writes nothing; None where that is unknown."""
    with _filling():
        again = tensors(func(*args, **kwargs))
    return [_unfilled(tensor) if is_plain(tensor) else None for tensor in again]


def _unfilled(tensor: Tensor) -> Tensor | None:
    """Where it still holds what torch fills fresh memory with."""
    tensor = tensor.contiguous().flatten().cpu()
    if tensor.is_floating_point():
        return tensor.isnan()
    return None if tensor.is_complex() or tensor.dtype is torch.bool else tensor == torch.iinfo(tensor.dtype).max


def _digests(result: Any) -> tuple[int, ...]:
    return tuple(digest(tensor) for tensor in tensors(result) if is_plain(tensor))


@contextmanager
def _filling() -> Iterator[None]:
    """Let torch fill all memory that it allocates, inside operations as well."""
    mode = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fills = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        torch._C._set_deterministic_algorithms(True, warn_only=True)
        deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        torch._C._set_deterministic_algorithms(mode[0], warn_only=mode[1])
        deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]


@contextmanager
def _on_one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(threads)


def _litter(value: int) -> None:
    """Leave a value behind where the next operation's memory will be."""
    pieces = [torch.full((size // 4,), value, dtype=torch.int32) for size in _SIZES for _ in range(_PIECES)]
    del pieces
