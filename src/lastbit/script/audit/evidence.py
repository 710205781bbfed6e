"""What two audited runs report at their ends, and what is known of the first operation at which they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from lastbit.divergence.distances import ulp_distance
from lastbit.script.audit.batches import Batch, BatchDifference, LoaderCode, first_differing_batch
from lastbit.script.audit.bits import as_integers, cpu_copy, is_plain
from lastbit.script.audit.compiled import CompiledGraph, GraphCounts
from lastbit.script.audit.generators import Generators
from lastbit.script.audit.varying_calls import ENVIRONMENT, HASH, ORDER, VaryingCall, find_varying_calls
from lastbit.storage.files import read_json, to_json, write_atomically

ACCOUNT, SUMMARY, TENSORS = "account.json", "summary.json", "tensors.safetensors"
FIRST_UNWRITTEN = "unwritten"  # folder of the account of the first operation that took memory nobody wrote
_HAS_ULPS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
T = TypeVar("T")


@dataclass(frozen=True)
class Value:
    """A tensor that an operation took or gave."""

    shape: tuple[int, ...]
    dtype: str
    device: str
    digest: int | None  # None where its values could not be looked at
    unwritten: bool  # its memory was allocated and not completely written before
    module: str | None  # of which module it is a parameter


@dataclass(frozen=True)
class Account:
    """One run at the first event that differs."""

    op: str
    reading: bool  # compared is what the operation reads from outside torch, not what it computes
    alone: bool  # the other run had ended
    random: bool
    phase: str
    step: int  # optimizer steps before it
    module: str | None
    line: str | None  # of the user's program; in the backward pass, of the forward operation
    called_from: str | None  # in the backward pass, the line that asked for it
    outputs: tuple[Value, ...]  # what was compared
    inputs: tuple[Value, ...]
    numbers: dict[str, str]  # arguments that are numbers
    graph: CompiledGraph | None  # the compiled graph that this is a call of
    batches: tuple[Batch, ...]  # the latest of loaders
    loaders: dict[str, LoaderCode]  # the code behind them, by their lines
    generator_seed: int | None  # of a generator that it is given
    repeats: dict[str, tuple[int, ...]]  # how the operation was repeated -> digests of its results
    threads: int  # of torch
    start: Generators  # before the program's first line
    now: Generators
    files: tuple[str, ...]  # of the user's own code

    def write(self, directory: Path, tensors: list[Tensor]) -> None:
        """Keep the account and the tensors that were compared."""
        plain = {f"{place:06d}": cpu_copy(tensor) for place, tensor in enumerate(tensors) if is_plain(tensor)}
        directory.mkdir(exist_ok=True)
        write_atomically(directory / TENSORS, save(plain))
        write_atomically(directory / ACCOUNT, to_json(asdict(self)).encode())


def read_account(directory: Path) -> Account | None:
    """Read what `Account.write` kept; None where nothing is."""
    return _read(directory / ACCOUNT, Account)


@dataclass(frozen=True)
class Summary:
    """One run, however far it came."""

    unseen: Mapping[str, int]  # operation -> results compared by shape alone
    unobserved: Mapping[str, int]  # what was not compared -> how often it was met
    compiled: GraphCounts
    filled: bool  # memory was allocated without values, and filled by the audit
    took_unwritten: bool  # an operation took memory nobody wrote
    unwritten_differences: int  # operations that did so, and whose results differ
    may_have_escaped: bool  # such a difference may have come into a result
    start: Generators  # before the program's first line
    end: Generators
    files: tuple[str, ...]  # of the user's own code, seen at work

    def write(self, directory: Path) -> None:
        """Keep it."""
        write_atomically(directory / SUMMARY, to_json(asdict(self)).encode())


def read_summary(directory: Path) -> Summary | None:
    """Read what `Summary.write` kept; None where the run ended without a word."""
    return _read(directory / SUMMARY, Summary)


def _read(path: Path, kind: type[T]) -> T | None:
    from pydantic import TypeAdapter  # only here: the audited process writes, and reads nothing

    return TypeAdapter(kind).validate_python(read_json(path)) if path.is_file() else None


@dataclass(frozen=True)
class TensorDifference:
    """How far two tensors differ."""

    elements: int  # that differ in their bits
    max_ulp: int | None  # largest distance among finite elements; None without a floating-point one
    permuted: bool  # the same values in another order


@dataclass(frozen=True)
class AuditEvidence:
    """Both runs' accounts of their first difference, and what can be read from them."""

    one: Account
    other: Account
    index: int | None  # of the first tensor compared that differs; None where they did different operations
    tensors: TensorDifference | None  # None where there are no two tensors of one shape and dtype

    @property
    def value(self) -> Value | None:
        """The tensor that differs, or the first one that was compared."""
        return self.one.outputs[self.index or 0] if self.one.outputs else None

    @property
    def permuted(self) -> bool:
        """Whether the runs hold the same values in another order."""
        return self.tensors is not None and self.tensors.permuted

    @property
    def parted(self) -> bool:
        """Whether the runs do different things, so that there are no two tensors to compare."""
        return self.one.op != self.other.op or self.one.reading != self.other.reading or self.one.alone

    @property
    def changed_inputs(self) -> list[Value]:
        """Values that the operation takes and that differ, though no operation made them differ."""
        pairs = zip(self.one.inputs, self.other.inputs, strict=False)
        return [value for value, other in pairs if value.digest != other.digest]

    @property
    def unwritten(self) -> bool:
        """Whether the operation takes memory that was allocated and not completely written."""
        return any(value.unwritten for value in (*self.changed_inputs, *self.one.outputs))

    @property
    def module(self) -> str | None:
        """The module at work, or whose parameter differs or was taken to compute what differs."""
        if self.one.module is not None or self.index is None:
            return self.one.module
        owner = self.one.outputs[self.index].module
        if owner is not None or len(self.one.outputs) > 1:
            return owner
        return next((value.module for value in self.one.inputs if value.module is not None), None)

    def agree_again(self, how: str) -> bool:
        """Whether the operation, repeated in this way, gave the same in both runs; False where it was not repeated."""
        mine, others = self.one.repeats.get(how), self.other.repeats.get(how)
        return mine is not None and mine == others

    @property
    def drawn_differently(self) -> list[str]:
        """Generators outside torch that the program drew from, or seeded, and that are in different states."""
        one, other = self.one, self.other
        states = {
            "Python's random": (one.start.python_state, one.now.python_state, other.now.python_state),
            "numpy.random": (one.start.numpy_state, one.now.numpy_state, other.now.numpy_state),
        }
        return [name for name, (start, now, others) in states.items() if now not in (start, others)]

    @cached_property
    def calls(self) -> tuple[VaryingCall, ...]:
        """Calls in the user's files whose values change from run to run, the likeliest cause first."""
        calls = [call for file in self.one.files for call in find_varying_calls(Path(file))]
        return tuple(sorted(calls, key=self._unlikeliness))

    @cached_property
    def batch(self) -> BatchDifference | None:
        """The first batch of a loader that differs."""
        return first_differing_batch(self.one.batches, self.other.batches, self.one.loaders)

    def is_behind_the_batch(self, call: VaryingCall) -> bool:
        """Whether a call is in the code that may have made a loader's batch differ."""
        return self.batch is not None and self.batch.code.holds(call.file, call.line)

    def is_on_the_line(self, call: VaryingCall) -> bool:
        """Whether a call is on the very line of the difference."""
        file, _, line = (self.one.line or ":").rpartition(":")
        return call.file == str(Path(file).absolute()) and str(call.line) == line

    def _unlikeliness(self, call: VaryingCall) -> tuple[bool, bool, bool, int]:
        file, _, number = (self.one.line or ":0").rpartition(":")
        line, (first, last) = int(number), call.function
        around = call.file == str(Path(file).absolute()) and first <= line <= last
        order = call.category in (HASH, ORDER)
        return (
            not (self.is_on_the_line(call) or self.is_behind_the_batch(call)),
            call.category == ENVIRONMENT or (self.permuted and not order),
            not around,
            abs(line - call.line),
        )


def collect_evidence(directories: Sequence[Path]) -> AuditEvidence | None:
    """Read the accounts that the runs left in their directories; None where there is none."""
    accounts = [(account, directory) for directory in directories if (account := read_account(directory)) is not None]
    if not accounts:
        return None
    # The other run has none where it ended before.
    (one, directory), (other, others) = accounts[0], accounts[-1]
    index = _first_differing(one, other)
    if index is None:
        return AuditEvidence(one, other, index=None, tensors=None)
    pair = (load_file(side / TENSORS).get(f"{index:06d}") for side in (directory, others))
    return AuditEvidence(one, other, index, _compared(*pair))


def compare_tensors(one: Tensor, other: Tensor) -> TensorDifference:
    """Compare two tensors of one shape and dtype bit by bit."""
    mine, others = as_integers(one), as_integers(other)
    elements = int((mine != others).sum())
    permuted = bool(elements) and bool((mine.sort()[0] == others.sort()[0]).all())
    return TensorDifference(elements, _max_ulp(one, other), permuted)


def _compared(one: Tensor | None, other: Tensor | None) -> TensorDifference | None:
    alike = one is not None and other is not None and (one.shape, one.dtype) == (other.shape, other.dtype)
    return compare_tensors(one, other) if alike else None  # type: ignore[arg-type]


def _first_differing(one: Account, other: Account) -> int | None:
    if one is other or one.op != other.op:
        return None
    pairs = enumerate(zip(one.outputs, other.outputs, strict=False))
    return next((place for place, (a, b) in pairs if (a.shape, a.digest) != (b.shape, b.digest)), None)


def _max_ulp(one: Tensor, other: Tensor) -> int | None:
    if one.dtype not in _HAS_ULPS:
        return None
    finite = (one.isfinite() & other.isfinite()).numpy()
    return int(np.max(ulp_distance(one, other)[finite])) if finite.any() else None
