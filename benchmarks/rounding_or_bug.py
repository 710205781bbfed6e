"""Is a difference between two runs rounding, or another computation? Changes of both kinds, told apart by traces.

    python benchmarks/rounding_or_bug.py [--set second] [--only NAME] [--steps 6] [--each 100] [--smoke] [--json FILE]

Two small networks, of images and of language, are trained for a few steps and recorded; then twice more with noise in
the last bits of every operation, from which `learn_envelope` learns what rounding explains; and then once for each
change: more than 30 that make it another computation, and more than 30 that only round otherwise. `compare_traces` says
which is which. Of a change of the first kind it is judged too whether its argument, or a line at which it takes effect,
is named (`words` and `marks` in `rounding_or_bug_changes.py`); of one of the second kind, whether any bit differs.
The second set has other changes of other networks, some in half precision. It was written without sight of how the
verdict works, and was run before anything was mended for it, so that it tells what the first set cannot.
A change whose run fails counts as told wrongly. Processes of a run that has several, and those of another environment,
are started anew; all other runs are in this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import rounding_or_bug_changes as first
import rounding_or_bug_second_changes as second
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import learn_envelope
from lastbit.script.trace.places import TracePlace
from options import parsed, parser_of, write
from rounding_or_bug_changes import Change, lines_of
from rounding_or_bug_programs import NETWORKS
from rounding_or_bug_recording import Trained, record

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class ChangeSet:
    """Networks, and what is changed in them."""

    networks: Mapping[str, Any]
    bugs: Sequence[Change]
    roundings: Sequence[Change]
    programs: Sequence[Path]  # in which the lines of changes are marked


SETS = {
    "first": ChangeSet(NETWORKS, first.BUGS, first.ROUNDINGS, [_HERE / "rounding_or_bug_programs.py"]),
    "second": ChangeSet(
        second.NETWORKS, second.BUGS, second.ROUNDINGS, sorted(_HERE.glob("rounding_or_bug_second_*.py"))
    ),
}


@dataclass(frozen=True)
class Judged:
    """What is said of a change."""

    network: str
    change: str
    is_bug: bool
    told_rightly: bool
    named: bool  # argument or line
    same_bits: bool
    said: str


class Judge:
    """Compares changed runs with their reference, which is recorded once for each base."""

    def __init__(self, of: ChangeSet, steps: int) -> None:
        self._of, self._steps = of, steps
        self._known: dict[Trained, Any] = {}

    def reference(self, base: Trained) -> Any:
        """The plain run of each process, and their envelopes."""
        if base not in self._known:
            plain = record(base, self._steps)
            noisy = [record(base, self._steps, noise=seed) for seed in (1, 2)]
            envelopes = [learn_envelope(run, others) for run, *others in zip(plain, *noisy, strict=True)]
            self._known[base] = plain, envelopes
        return self._known[base]

    def judge(self, network: str, change: Change, *, is_bug: bool) -> Judged:
        """Say what is said of a change."""
        base = replace(self._of.networks[network], **change.base)
        try:
            plain, envelopes = self.reference(base)
            with change.around():
                changed = record(replace(base, **change.settings), self._steps, environment=change.environment)
            found = compare_traces(plain, changed, envelopes)
        except Exception as error:  # which ends no benchmark, and is counted
            return Judged(network, change.name, is_bug, False, False, False, f"failed: {error!r}"[:400])
        place = found.beyond_rounding
        named = place is not None and is_named(change, place, self._of.programs)
        return Judged(
            network, change.name, is_bug, (place is not None) == is_bug, named, found.same_bits, found.verdict
        )


def is_named(change: Change, place: TracePlace, programs: Sequence[Path]) -> bool:
    """Whether the argument, or a line, of a change is said."""
    said = f"{place.differs} at {place.line} "
    lines = [f"{line}{end}" for line in lines_of(change.marks, programs) for end in " ,;)"]
    return any(words in str(place.differs) for words in change.words) or any(line in said for line in lines)


def line_of(row: Judged) -> str:
    """A row of the table, with the beginning of what was said."""
    right = "right" if row.told_rightly else "WRONG"
    kind, more = ("bug", "named" if row.named else "NOT NAMED") if row.is_bug else ("rounding", "")
    more = "same bits" if row.same_bits else more
    return f"{row.network:18} {kind:9} {row.change:34} {right} {more:10} {row.said[:600]}"


def figures_of(rows: Sequence[Judged]) -> dict[str, Any]:
    """The counts of a network, and the names of what was missed."""
    bugs, roundings = [row for row in rows if row.is_bug], [row for row in rows if not row.is_bug]
    return {
        "changes": len(rows),
        "told rightly": sum(row.told_rightly for row in rows),
        "bugs": len(bugs),
        "bugs found": sum(row.told_rightly for row in bugs),
        "bugs named": sum(row.named for row in bugs),
        "roundings": len(roundings),
        "roundings with other bits": sum(not row.same_bits for row in roundings),
        "roundings called a bug": sum(not row.told_rightly for row in roundings),
        "told wrongly": {row.change: row.said for row in rows if not row.told_rightly},
        "not named": {row.change: row.said for row in bugs if row.told_rightly and not row.named},
    }


def main() -> None:
    """Judge all changes; print the table, and keep the counts."""
    parser = parser_of(__doc__)
    parser.add_argument("--set", choices=SETS, default="first", help="of changes")
    parser.add_argument("--only", default="", help="changes with this in their name")
    parser.add_argument("--network", help="only this")
    parser.add_argument("--networks", type=int, default=100, help="the first so many (100: all)")
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps of each run (6)")
    parser.add_argument("--each", type=int, default=100, help="changes of each kind, the first so many (100: all)")
    arguments = parsed(parser, steps=2, each=1, networks=1)
    torch.set_num_threads(1)
    figures, of = {}, SETS[arguments.set]
    names = [*of.networks][: arguments.networks] if arguments.network is None else [arguments.network]
    for network in names:
        judge, rows = Judge(of, arguments.steps), []
        for is_bug, changes in ((True, of.bugs), (False, of.roundings)):
            chosen = [c for c in changes if network in c.networks and arguments.only in c.name][: arguments.each]
            for change in chosen:
                rows.append(judge.judge(network, change, is_bug=is_bug))
                if arguments.json != "-":
                    print(line_of(rows[-1]), flush=True)
        figures[network] = figures_of(rows)
    write(figures, arguments.json)
    if arguments.json != "-":
        for network, row in figures.items():
            print(
                f"{network}: {row['told rightly']} of {row['changes']} told rightly; "
                f"{row['roundings called a bug']} of "
                f"{row['roundings']} roundings called a bug ({row['roundings with other bits']} have other bits); "
                f"{row['bugs named']} of {row['bugs']} bugs named"
            )


if __name__ == "__main__":
    main()
