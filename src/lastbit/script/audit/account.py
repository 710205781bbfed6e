"""What a run reports at its end, and of the operation at which it and the other run part."""

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType

import numpy
import torch
from safetensors.torch import save
from torch import Tensor

from lastbit.script.audit.bits import cpu_copy, digest, is_plain, outline
from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.audit.memory import WrittenMemory
from lastbit.script.audit.operation import OperationCall
from lastbit.script.audit.place import Locator
from lastbit.storage.files import read_json, to_json, write_atomically

ACCOUNT, SUMMARY, TENSORS = "account.json", "summary.json", "tensors.safetensors"
FIRST_UNWRITTEN = "unwritten"  # folder of the account of the first operation that took memory nobody wrote


@dataclass(frozen=True)
class Generators:
    """The random generators that a program shares between all its parts: seed, and checksums of their states."""

    torch_seed: int  # of the default generator
    torch_state: int
    python_state: int  # of `random`
    numpy_state: int  # of `numpy.random`


def generators() -> Generators:
    """The generators of this process, without drawing from them."""
    # The generator behind numpy.random's functions, which many programs still share.
    _, key, position, *_ = numpy.random.get_state()  # noqa: NPY002
    return Generators(
        torch_seed=torch.initial_seed(),
        torch_state=zlib.crc32(torch.get_rng_state().numpy().tobytes()),
        python_state=zlib.crc32(repr(random.getstate()).encode()),
        numpy_state=zlib.crc32(numpy.asarray(key).tobytes(), int(position)),
    )


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
    if not (directory / ACCOUNT).is_file():
        return None
    data = read_json(directory / ACCOUNT)
    for name in ("outputs", "inputs"):
        data[name] = tuple(Value(**{**value, "shape": tuple(value["shape"])}) for value in data[name])
    data |= {name: Generators(**data[name]) for name in ("start", "now")}
    data["repeats"] = {name: tuple(digests) for name, digests in data["repeats"].items()}
    return Account(**{**data, "files": tuple(data["files"])})


@dataclass(frozen=True)
class Summary:
    """One run, however far it came."""

    unseen: Mapping[str, int]  # operation -> results compared by shape alone
    unobserved: Mapping[str, int]  # what was not compared -> how often it was met
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
    if not (directory / SUMMARY).is_file():
        return None
    data = read_json(directory / SUMMARY)
    data |= {name: Generators(**data[name]) for name in ("start", "end")}
    return Summary(**{**data, "files": tuple(data["files"])})


class Reporter:
    """Describes an operation of the program.

    Args:
        lockstep: the line to the other run.
        memory: of this run.
        python_state: digest of the state of Python's `random` before the program's first line.
    """

    def __init__(self, lockstep: Lockstep, memory: WrittenMemory, python_state: int) -> None:
        self._lockstep, self._memory = lockstep, memory
        self.locator = Locator()
        self.start = replace(generators(), python_state=python_state)

    def account(
        self, call: OperationCall, compared: Sequence[Tensor], *, reading: bool, repeats: dict[str, tuple[int, ...]]
    ) -> Account:
        """Describe an operation.

        Args:
            call: the operation.
            compared: the tensors that were compared.
            reading: whether those are what it reads from outside torch.
            repeats: the result of repeating it.
        """
        operation, frame = call.operation, call.frame
        where = self.locator.locate(frame)
        changed = operation.changed(call.args, call.kwargs)
        unchanged = [t for t, _ in call.inputs if reading or not any(t is other for other in changed)]
        return Account(
            op=operation.name,
            reading=reading,
            alone=self._lockstep.other_ended,
            random=operation.random,
            phase=where.phase,
            step=self._lockstep.steps(),
            module=where.module,
            line=where.line,
            called_from=where.called_from,
            outputs=self._values(compared, frame),
            inputs=self._values(unchanged, frame),
            numbers=operation.numbers(call.args, call.kwargs),
            generator_seed=operation.generator_seed(call.args, call.kwargs),
            repeats=repeats,
            threads=torch.get_num_threads(),
            start=self.start,
            now=generators(),
            files=tuple(self.locator.program.files()),
        )

    def _values(self, tensors: Sequence[Tensor], frame: FrameType) -> tuple[Value, ...]:
        """Describe tensors that an operation of this frame takes or gives."""
        return tuple(
            Value(
                shape=outline(tensor),
                dtype=str(tensor.dtype).removeprefix("torch."),
                device=tensor.device.type,
                digest=digest(tensor) if is_plain(tensor) else None,
                unwritten=is_plain(tensor) and self._memory.is_unwritten(tensor),
                module=self.locator.owner(tensor, frame),
            )
            for tensor in tensors
        )

    def files(self) -> list[str]:
        """The user's own files that were seen at work."""
        return self.locator.program.files()
