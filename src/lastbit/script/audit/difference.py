"""The first operation at which two runs differ."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from lastbit.divergence.ulps import ulp_distance
from lastbit.script.audit.account import TENSORS, Account, read_account
from lastbit.script.audit.evidence import Evidence
from lastbit.script.audit.explanation import explain
from lastbit.script.audit.plain import bits

_HAS_ULPS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Difference:
    """An operation that gave, or read, other bits in one run than in the other."""

    op: str  # as the profiler writes it: `aten::add_`
    module: str | None  # the innermost module at work: `model.layer1.0.conv1`
    line: str | None  # of the user's program; in the backward pass, that of the forward operation
    called_from: str | None  # in the backward pass, the line that asked for it
    step: int  # optimizer steps before it
    phase: str  # forward, backward or optimizer
    shape: tuple[int, ...] | None  # of the tensor that differs; None where there is none
    elements: int | None  # how many of its elements differ; None where the shapes do
    max_ulp: int | None  # largest distance among finite elements; None without a floating-point one
    kind: str  # randomness, arithmetic or data
    cause: str
    cure: str
    only_filled: bool = False  # seen where fresh memory is filled differently, and not where it is filled alike

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Parting:
    """How far two tensors differ."""

    elements: int
    max_ulp: int | None
    permuted: bool  # the same values in another order


def first_difference(directories: Sequence[Path]) -> Difference | None:
    """Read the accounts that the runs left in their directories; None where there is none."""
    accounts = [(account, directory) for directory in directories if (account := read_account(directory)) is not None]
    if not accounts:
        return None
    # The other run has none where it ended before.
    (one, directory), (other, others) = accounts[0], accounts[-1]
    index = _first_differing(one, other)
    parting = None if index is None else _parting(_tensor(directory, index), _tensor(others, index))
    evidence = Evidence(one, other, index or 0, parting is not None and parting.permuted)
    found = explain(evidence)
    value = one.outputs[index or 0] if one.outputs else None
    return Difference(
        op=one.op,
        module=one.module or _owner(one, index),
        line=one.line,
        called_from=one.called_from,
        step=one.step,
        phase=one.phase,
        shape=None if value is None else value.shape,
        elements=None if parting is None else parting.elements,
        max_ulp=None if parting is None else parting.max_ulp,
        kind=found.kind,
        cause=found.cause,
        cure=found.cure,
    )


def part(one: Tensor, other: Tensor) -> Parting:
    """Compare two tensors of one shape and dtype bit by bit."""
    mine, others = bits(one), bits(other)
    elements = int((mine != others).sum())
    return Parting(elements, _max_ulp(one, other), bool(elements) and bool((mine.sort()[0] == others.sort()[0]).all()))


def _parting(one: Tensor | None, other: Tensor | None) -> Parting | None:
    comparable = one is not None and other is not None and (one.shape, one.dtype) == (other.shape, other.dtype)
    return part(one, other) if comparable else None  # type: ignore[arg-type]


def _first_differing(one: Account, other: Account) -> int | None:
    if one is other or one.op != other.op:
        return None
    pairs = enumerate(zip(one.outputs, other.outputs, strict=False))
    return next((place for place, (a, b) in pairs if (a.shape, a.digest) != (b.shape, b.digest)), None)


def _owner(one: Account, index: int | None) -> str | None:
    """The module whose parameter differs, or was taken to compute what differs."""
    if index is None:
        return None
    value = one.outputs[index]
    if value.module is not None or len(one.outputs) > 1:
        return value.module
    return next((each.module for each in one.inputs if each.module is not None), None)


def _tensor(directory: Path, index: int) -> Tensor | None:
    return load_file(directory / TENSORS).get(f"{index:06d}")


def _max_ulp(one: Tensor, other: Tensor) -> int | None:
    if one.dtype not in _HAS_ULPS:
        return None
    finite = (one.isfinite() & other.isfinite()).numpy()
    return int(np.max(ulp_distance(one, other)[finite])) if finite.any() else None
