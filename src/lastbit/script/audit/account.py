"""What a run says of the operation at which it and the other run part."""

from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from safetensors.torch import save
from torch import Tensor

from lastbit.script.audit.digest import digest
from lastbit.script.audit.generators import Generators
from lastbit.script.audit.memory import Memory
from lastbit.script.audit.origins import Origins
from lastbit.script.audit.plain import cpu_copy, is_plain, outline
from lastbit.storage.files import read_json, to_json, write_atomically

ACCOUNT, TENSORS = "account.json", "tensors.safetensors"
SUSPECT = "suspect"  # folder of the account of the first operation that took memory nobody wrote


@dataclass(frozen=True)
class Value:
    """A tensor that an operation took or gave."""

    shape: tuple[int, ...]
    dtype: str
    device: str
    digest: int | None  # None where its values could not be looked at
    unwritten: bool  # its memory was allocated and not wholly written before
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
    trials: dict[str, tuple[int, ...]]  # how the operation was done once more -> digests of its results
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
    data["trials"] = {name: tuple(digests) for name, digests in data["trials"].items()}
    return Account(**{**data, "files": tuple(data["files"])})


def values(tensors: list[Tensor], memory: Memory, origins: Origins, frame: FrameType) -> tuple[Value, ...]:
    """Describe tensors that an operation of this frame takes or gives."""
    return tuple(
        Value(
            shape=outline(tensor),
            dtype=str(tensor.dtype).removeprefix("torch."),
            device=tensor.device.type,
            digest=digest(tensor) if is_plain(tensor) else None,
            unwritten=is_plain(tensor) and memory.is_unwritten(tensor),
            module=origins.owner(tensor, frame),
        )
        for tensor in tensors
    )
