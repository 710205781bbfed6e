"""What two runs that agree leave open: why the next two may differ all the same."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from lastbit.script.audit.steering import Decision, find_decisions
from lastbit.script.audit.summary import Summary
from lastbit.script.audit.suspects import CLOCK, PROCESS

_READS = {CLOCK: "the clock", PROCESS: "the process's or thread's number"}
_MOST_LINES = 4  # of a file, named


def notes(summaries: Sequence[Summary]) -> Iterator[str]:
    """Sentences about what the runs' comparison could not show.

    Args:
        summaries: of the runs that said something at their end.
    """
    if summaries:
        decisions = find_decisions([Path(file) for file in summaries[0].files])
        for (call, category), group in groupby(
            sorted(decisions, key=_by_call), lambda each: (each.call, each.category)
        ):
            yield _decides(call, category, list(group))
    if len(summaries) > 1:
        for name, state in (("Python's random", "python_state"), ("numpy.random", "numpy_state")):
            starts, ends = ([getattr(each, state) for each in when] for when in _when(summaries))
            if ends[0] != ends[1] and ends[0] != starts[0]:
                yield (
                    f"{name} was drawn from without a fixed seed: nothing that was compared depends on it, but what the"
                    " program decides by it may be otherwise in the next run"
                )


def _when(summaries: Sequence[Summary]) -> Iterator[list[object]]:
    yield [each.start for each in summaries]
    yield [each.end for each in summaries]


def _by_call(decision: Decision) -> tuple[str, str, str, int]:
    return decision.call, decision.category, decision.file, decision.line


def _decides(call: str, category: str, decisions: Sequence[Decision]) -> str:
    lines = [f"{Path(each.file).name}:{each.line}" for each in decisions]
    more = f" and {len(lines) - _MOST_LINES} more" if len(lines) > _MOST_LINES else ""
    where = ", ".join(lines[:_MOST_LINES]) + more
    read = _READS.get(category, "the system's entropy")
    waiting = ", and runs that wait for each other at every operation see nearly the same time" * (category == CLOCK)
    return f"{where} decides by {call}, which reads {read}{waiting}: plain runs may differ where these two agree"
