"""Parts of a piece of the data, and two pieces in one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lastbit.curvature.batches import Piece, _cut
from lastbit.curvature.nests import Column, columns, parts, refilled
from lastbit.errors import LastbitError


def leaves(piece: Piece) -> list[Tensor]:
    """The tensors of numbers of a piece, targets first; once where a batch is both.

    Arrays of text and dates are left out, and so are sparse and quantised tensors, in which little can be counted.
    """
    trees = (piece.targets,) if piece.inputs is piece.targets else (piece.targets, piece.inputs)
    tensors = [_tensor(column) for tree in trees for column in columns(tree)]
    return [tensor for tensor in tensors if tensor is not None]


def _tensor(column: Column) -> Tensor | None:
    try:
        tensor = torch.as_tensor(column)
    except TypeError:  # an array of text, dates or objects
        return None
    return None if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested else tensor


def first_samples(piece: Piece, count: int) -> Piece:
    """The first samples of a piece; all of it where it cannot be cut."""
    return next(iter(_cut_up(piece, count)), piece)


def halves(piece: Piece) -> list[Piece]:
    """The two halves of a piece of several samples; the piece itself where it cannot be cut."""
    return list(_cut_up(piece, -(-piece.samples // 2)))


def joined(one: Piece, other: Piece) -> Piece | None:
    """The samples of both; None where they do not fit together."""
    try:
        inputs = _joined(one.inputs, other.inputs)
        targets = inputs if one.inputs is one.targets else _joined(one.targets, other.targets)
    except _ApartError:
        return None
    return Piece(inputs, targets, one.samples + other.samples)


class _ApartError(Exception):
    """Two nests that cannot be joined."""


def _joined(one: Any, other: Any) -> Any:
    """A nest like the first whose tensors hold both's samples."""
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


def _cut_up(piece: Piece, count: int) -> Iterator[Piece]:
    try:
        yield from _cut(piece.inputs, piece.targets, count)
    except LastbitError:  # it holds something whose samples are not known
        yield piece
