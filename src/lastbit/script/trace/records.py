"""What a trace holds: the program's operations in their order, what each took and gave, and the state around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lastbit.script.audit.batches import Batch
from lastbit.script.audit.generators import Generators

FORMAT = 2  # of the file; 1 had sketches with other signs
OUTSIDE = "outside"  # phase of a record for a tensor that no recorded operation made
# Views that take a part: recorded for their arguments, without values.
PARTS = frozenset({"aten::slice", "aten::select", "aten::narrow", "aten::as_strided"})
COLLECTIVES = ("c10d::", "_c10d_functional::")  # begin the names of operations that communicate
# Begin the names of arguments that say which part of a memory an input is, and in which order its elements lie there.
OFFSET, STRIDES = "offset of input ", "strides of input "
PARAMETER, DATA, RECEIVED = "parameter", "data", "received"  # names of such: loaded weights, others, by a collective
SETTINGS = "settings"  # kind of event: an optimizer's settings, when they have changed
NUMERICS = "numerics"  # kind of event: another fingerprint
RANK = "rank"  # kind of event: the process has joined a group, as this rank of so many
GROUP = "group"  # kind of event: the ranks of the next collectives, where they are others than those before
BATCH = "batch"  # kind of event: a loader handed over a batch

# Where a tensor that an operation takes comes from: the index of the record that gave it, and which of its outputs it
# is; None where nothing is known, as for memory that nobody wrote.
Origin = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """A tensor in a few numbers, from which neither it nor any part of it can be restored."""

    shape: tuple[int, ...]
    dtype: str  # float32
    device: str  # cpu
    digest: int | None  # 64 bits, of its bits in logical order; None where it is not plain memory
    norm: float  # Euclidean, in float64; NaN without a digest
    sketch: tuple[float, ...]  # 1, 2, 4 or 8 numbers, for `distance.distance`


@dataclass(frozen=True, slots=True)
class Site:
    """What does not change from step to step about an operation; stored once."""

    name: str  # aten::convolution; `parameter` or `data` from outside
    phase: str  # forward, backward, optimizer or outside
    module: str | None  # the innermost at work; in an update, or from outside, the name of the parameter
    line: str | None  # train.py:41, the innermost of the user's own; in the backward pass, of the forward operation
    called_from: str | None  # in the backward pass, the line that asked for it
    arguments: tuple[tuple[str, str], ...]  # name and text of those that are neither tensors nor single numbers
    numbers: tuple[str, ...]  # names of the arguments that are single numbers


@dataclass(frozen=True, slots=True)
class Record:
    """One operation that computed something. Views are none: their results have the origin of what they look at."""

    index: int  # in the trace, from 0
    step: int  # optimizer steps before it
    site: Site
    inputs: tuple[Origin, ...]  # of its tensors, in the order of its arguments, lists written out
    numbers: tuple[str, ...]  # exactly, for the names in `site.numbers`: they may change with each step
    outputs: tuple[TensorSummary, ...]  # what it changed, or else what it made

    @property
    def arguments(self) -> dict[str, str]:
        """All arguments that are no tensors and differ from the operation's defaults, by name."""
        return {**dict(self.site.arguments), **dict(zip(self.site.numbers, self.numbers, strict=True))}


@dataclass(frozen=True)
class TraceEvent:
    """Something else that happened: a loader's batch, other numerics or settings of an optimizer, a rank joined."""

    at: int  # records before it
    step: int  # optimizer steps before it
    kind: str
    content: Mapping[str, Any]  # plain JSON


@dataclass(frozen=True)
class TraceHeader:
    """What was known before the program's first operation."""

    format: int
    command: tuple[str, ...]  # train.py --lr 0.1
    numerics: Mapping[str, str | int | bool | None]  # `lastbit.execution.numerics.fingerprint`
    packages: Mapping[str, str]  # versions of installed ones that may change what is computed
    environment: Mapping[str, str]  # variables that may
    rank: int
    world_size: int
    steps: int | None  # after which it was to stop
    started: str  # UTC, ISO 8601
    recording: str = ""  # random; the same for all ranks of one recording
    script: str = ""  # name of its file, also of one that a launcher starts; empty where nobody noted it
    code: tuple[int, ...] = ()  # sketch of its lines, as `same_script` makes it


@dataclass(frozen=True)
class RunTrace:
    """What a trace's file holds."""

    header: TraceHeader
    records: Sequence[Record]
    generators: Mapping[int, Generators]  # the random generators' states, by the number of optimizer steps before
    events: tuple[TraceEvent, ...] = ()
    ended: bool = False  # whether the program came to its end, or to the last step wanted
    unseen: Mapping[str, int] = field(default_factory=dict)  # what was not recorded -> how many operations of it
    torn: int = 0  # bytes at the end of the file that were dropped: the last piece was not written whole
    damaged: bool = False  # whether they were written whole, and altered since
    # Of loaders, among the events; each with the number of records before it.
    batches: tuple[tuple[int, Batch], ...] = ()

    def why_empty(self) -> str:
        """Why there is no record, and what to do."""
        if self.damaged:
            return "the file is damaged where they begin; copy it again, or record it again"
        if not self.ended:
            torn = f" ({self.torn:,} bytes are not whole)" if self.torn else ""
            return f"it was cut before the first were written whole{torn}; copy it again, or record it to the end"
        return "there is nothing to compare"

    @property
    def numerics(self) -> Mapping[str, str | int | bool | None]:
        """The latest fingerprint: a program sets threads and precision after it has imported torch."""
        changes = [event.content for event in self.events if event.kind == NUMERICS]
        return changes[-1] if changes else self.header.numerics

    @property
    def steps(self) -> int:
        """Optimizer steps that were finished."""
        return max(self.generators, default=0)
