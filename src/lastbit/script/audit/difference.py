"""The first operation at which two runs differ: what it is, its usual cause, and the cure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lastbit.script.audit.causes import Explanation, explain
from lastbit.script.audit.evidence import collect_evidence


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
    rank: int | None = None  # of the processes that differ, among those that train together
    world: int | None = None  # how many those are
    only_filled: bool = False  # seen where fresh memory is filled differently, and not where it is filled alike

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def explained(self, why: Explanation) -> "Difference":
        """The same difference with another explanation."""
        return replace(self, **asdict(why))


def first_difference(directories: Sequence[Path]) -> Difference | None:
    """Read what the runs left in their directories; None where they found no difference."""
    evidence = collect_evidence(directories)
    if evidence is None:
        return None
    one, tensors, value = evidence.one, evidence.tensors, evidence.value
    return Difference(
        op=one.op,
        module=evidence.module,
        line=one.line,
        called_from=one.called_from,
        step=one.step,
        phase=one.phase,
        shape=None if value is None else value.shape,
        elements=None if tensors is None else tensors.elements,
        max_ulp=None if tensors is None else tensors.max_ulp,
        **asdict(explain(evidence)),
    )
