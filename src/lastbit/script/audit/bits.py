"""Which tensors the audit can look into, a digest of their bits, and what fresh memory is filled with."""

import ctypes
import zlib

import numpy as np
import torch
from torch import Tensor

_PLAIN_TYPES = (Tensor, torch.nn.Parameter)
_HANDS_ON = Tensor.__torch_dispatch__  # does nothing

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
# Sums are kept in this many lanes. A prime: rows, images and channels have round sizes, and exchanging two of them
# would leave every lane's sum as it was if the number of lanes divided their size.
_LANES = 1021
_ROW = 8 * _LANES  # bytes
# Below this a checksum of all bytes (4 GB/s) takes less time than setting up the sums (40 GB/s).
_SMALL = 2 * _ROW
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
# Numbers that no program chokes on, and that show wherever they are used; last what fresh memory mostly holds.
_REAL, _WHOLE = (0.5, 1.5, 0.0), (0, 1, 0)
ALIKE = 2  # for either run, where memory is to hold the same


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


def cpu_copy(tensor: Tensor) -> Tensor:
    """A copy in the host's memory, in order and of real numbers."""
    tensor = tensor.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor.cpu().contiguous().clone()


def bits(tensor: Tensor) -> Tensor:
    """The bits of a tensor of real numbers, as whole numbers, in one row."""
    return tensor.contiguous().view(_BITS[tensor.element_size()]).flatten()


def digest(tensor: Tensor) -> int:
    """A 32-bit digest of the bits of a strided tensor and of their order: equal bits give equal digests.

    The bytes are summed as 64-bit integers modulo 2^64 in 1021 lanes, word p in lane p mod 1021; CRC-32 reduces
    lanes and rest. Changes of two words escape if they cancel within a lane, an exchange of two blocks of equal size
    if their distance is a multiple of 8168 bytes, any other change with probability 2^-32.
    """
    if not _fills_its_memory(tensor):
        tensor = tensor.contiguous()
    if tensor.device.type != "cpu":
        return _device_digest(tensor)
    return _memory_digest(tensor.data_ptr(), tensor.numel() * tensor.element_size())


def _fills_its_memory(tensor: Tensor) -> bool:
    """Whether its elements are exactly the bytes from its address on, in whatever order of the dimensions."""
    if tensor.is_contiguous():
        return True
    fills = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return fills and 0 not in tensor.stride()


def _memory_digest(address: int, size: int) -> int:
    if size == 0:
        return 0
    memory = (ctypes.c_char * size).from_address(address)
    if size < _SMALL:
        return zlib.crc32(memory)
    rows = size // _ROW
    words = np.frombuffer(memoryview(memory), np.uint64, rows * _LANES).reshape(rows, _LANES)
    rest = memoryview(memory)[rows * _ROW :]
    return zlib.crc32(np.add.reduce(words, axis=0).data, zlib.crc32(rest))


def _device_digest(tensor: Tensor) -> int:
    """The same idea in torch's operations, for memory that is not the host's."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    words = bits(tensor)
    covered = words.numel() // _LANES * _LANES
    lanes = words[:covered].view(-1, _LANES).sum(0, dtype=torch.int64)
    return zlib.crc32(torch.cat([lanes, words[covered:].long()]).cpu().numpy().tobytes())


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
