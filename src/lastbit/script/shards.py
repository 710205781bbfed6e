"""Weights that are split over processes: each process keeps its own part, and the parts are put together afterwards.

Nothing is communicated while the program trains: a collective operation of ours among its own could change their order,
or wait for a process that has failed.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from lastbit.errors import LastbitError
from lastbit.storage.files import to_json
from lastbit.tensors import is_split

PARTS = "parts.json"


@dataclass(frozen=True)
class Shard:
    """Where a process's part of a tensor lies in the whole."""

    shape: tuple[int, ...]  # of the whole
    offset: tuple[int, ...]


def parts_of(weights: Mapping[str, Tensor]) -> dict[str, Shard]:
    """Where the parts on this process lie, by name; nothing for weights that are not split.

    Raises:
        LastbitError: a weight is split into more than one block here.
    """
    return {name: _part(name, weight) for name, weight in weights.items() if is_split(weight)}


def _part(name: str, weight: Tensor) -> Shard:
    # What torch's own distributed checkpoints ask a tensor for.
    blocks = weight.__create_chunk_list__()  # type: ignore[attr-defined]
    if len(blocks) != 1:
        raise LastbitError(f"{name} has {len(blocks)} blocks on one process, and only one can be put together")
    return Shard(tuple(weight.shape), tuple(blocks[0].offsets))


def write_parts(directory: Path, parts: Mapping[str, Shard]) -> None:
    """Keep where the parts of a process lie."""
    (directory / PARTS).write_text(to_json({name: asdict(part) for name, part in parts.items()}), encoding="utf-8")


def read_parts(directory: Path) -> dict[str, Shard]:
    """Read what `write_parts` kept; nothing where no weight is split."""
    path = directory / PARTS
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: Shard(tuple(part["shape"]), tuple(part["offset"])) for name, part in kept.items()}


def whole(name: str, directories: Sequence[Path]) -> dict[str, Tensor]:
    """Put the weights of one snapshot together.

    Args:
        name: of the snapshot's file below each directory.
        directories: of the processes, with that of rank 0 first, whose weights that are not split are taken.

    Raises:
        LastbitError: a part is missing.
    """
    kept = [(load_file(place / name), read_parts(place)) for place in directories if (place / name).is_file()]
    parts = kept[0][1]
    weights = {key: tensor for key, tensor in kept[0][0].items() if key not in parts}
    for key in parts:
        weights[key] = _joined(key, [(tensors[key], where[key]) for tensors, where in kept if key in where])
    return weights


def _joined(name: str, parts: Iterable[tuple[Tensor, Shard]]) -> Tensor:
    pairs = list(parts)
    result = torch.empty(pairs[0][1].shape, dtype=pairs[0][0].dtype)
    filled = torch.zeros(result.shape, dtype=torch.bool)
    for tensor, part in pairs:
        block = tuple(slice(start, start + size) for start, size in zip(part.offset, tensor.shape, strict=True))
        result[block], filled[block] = tensor, True
    if not bool(filled.all()):
        missing = math.prod(result.shape) - int(filled.sum())
        raise LastbitError(f"{missing:,} of the {result.numel():,} numbers of {name} are on no process that reported")
    return result
