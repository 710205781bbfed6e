"""Runs a program twice in step, and finds the first tensor operation whose bits differ."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from lastbit.script.audit.bits import ALIKE
from lastbit.script.audit.causes import read_by_python
from lastbit.script.audit.compiled import GraphCounts
from lastbit.script.audit.decisions import notes
from lastbit.script.audit.difference import Difference
from lastbit.script.audit.ranks import FURTHER, LOCKSTEP, SIDES
from lastbit.script.audit.runs import RunPair, run_pair
from lastbit.script.launchers import launch_of
from lastbit.script.target import Target

AGAIN, ONCE_MORE = "again", "once-more"  # folders of a second and a third pair of runs
LEFT = (*SIDES, AGAIN, ONCE_MORE, LOCKSTEP, FURTHER)  # names that an audit leaves in its directory
_BREAKS = (
    "it fails where fresh memory holds other values than zeros: it uses what a tensor of torch.empty or the like held"
)


@dataclass(frozen=True)
class Audit:
    """What two runs in step have shown."""

    operations: int  # compared, the first that differs among them
    steps: int  # optimizer steps
    first_difference: Difference | None
    unseen: Mapping[str, int]  # operation -> results whose values could not be looked at
    unobserved: Mapping[str, int] = field(default_factory=dict)  # what was not compared -> how many operations of it
    compiled: GraphCounts = field(default_factory=GraphCounts)
    notes: tuple[str, ...] = ()  # what else may differ from run to run

    @property
    def deterministic(self) -> bool:
        """Whether two runs agree in the bits of all that was compared, fresh memory being filled alike."""
        return self.first_difference is None or self.first_difference.only_filled

    def as_json(self) -> dict[str, Any]:
        """Plain data, as `lastbit audit --json` writes it."""
        difference = self.first_difference
        return {
            "deterministic": self.deterministic,
            "operations": self.operations,
            "steps": self.steps,
            "first_difference": None if difference is None else difference.as_json(),
            "unseen": dict(self.unseen),
            "unobserved": dict(self.unobserved),
            "compiled": asdict(self.compiled),
            "notes": list(self.notes),
        }


def audit(
    target: Target,
    directory: Path,
    *,
    steps: int | None = None,
    threads: tuple[int | None, int | None] = (None, None),
    on_progress: Callable[[int, int], None] = lambda operations, steps: None,
) -> Audit:
    """Run a program twice at the same time and compare every tensor operation as it happens.

    The runs share command, working directory and environment; they differ in what must not matter: the time, the
    process's number, the seed of Python's hashes (unless PYTHONHASHSEED is set) and the contents of memory that is
    allocated without values. The first difference stops both.

    Args:
        target: the program.
        directory: an empty one, for what the runs print and for an account of the difference.
        steps: optimizer steps after which to stop; None for the program's end.
        threads: of torch in either run; None for the program's own choice.
        on_progress: called now and then with the numbers of operations and steps so far.

    Raises:
        LastbitError: a launcher's arguments are wrong, or ask for several machines.
        ScriptFailedError: a run ended with an error, the two ended differently, or neither did a tensor operation.
    """
    launch_of(target)
    run = partial(run_pair, target, steps=steps, threads=threads, on_progress=on_progress)
    first = run(directory, fills=(0, 1))
    if not first.blames_memory:
        first.check(target)
        return _audit(first, first.difference)
    # Before anything is blamed: the same with all fresh memory filled alike, which is what plain runs mostly find.
    again = run(directory / AGAIN, fills=(ALIKE, ALIKE))
    again.check(target)
    if again.difference is not None:
        return _audit(again, again.difference)
    by_memory = first.unwritten_difference
    if by_memory is None and first.difference is not None:
        # No operation was seen to take such memory: is it the filling, or do the runs differ only now and then?
        once_more = run(directory / ONCE_MORE, fills=(0, 1))
        if not _same_place(first.difference, once_more.difference):
            return _audit(first, first.difference)
        by_memory = first.difference.explained(read_by_python())
    result = _audit(again, None if by_memory is None else replace(by_memory, only_filled=True))
    return replace(result, notes=(*result.notes, _BREAKS)) if any(first.codes) else result


def clear(directory: Path) -> None:
    """Remove what an audit left in its directory, and nothing else."""
    for path in (directory / name for name in LEFT):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _same_place(one: Difference, other: Difference | None) -> bool:
    places = ((each.op, each.line, each.step, each.rank) for each in (one, other) if each is not None)
    return len(set(places)) == 1 and other is not None


def _audit(runs: RunPair, difference: Difference | None) -> Audit:
    summaries = [pair for pair in runs.summaries if pair]
    firsts = [pair[0] for pair in summaries]
    said = dict.fromkeys(note for pair in summaries for note in notes(pair))
    return Audit(
        operations=runs.operations,
        steps=runs.steps,
        first_difference=difference,
        unseen=_sum(summary.unseen for summary in firsts),
        unobserved=_sum(summary.unobserved for summary in firsts),
        compiled=GraphCounts(**_sum(asdict(summary.compiled) for summary in firsts)),
        notes=tuple(said) if difference is None or difference.only_filled else (),
    )


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The counts of all processes together."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)
