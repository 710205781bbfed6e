"""`lastbit audit diff`: where two recorded runs part, and whether rounding explains it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from lastbit.cli.audit_record import measured, recorded
from lastbit.cli.options import ScriptCommand
from lastbit.cli.output import SafeConsole, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.files import to_json, writing
from lastbit.storage.outputs import write_output

if TYPE_CHECKING:
    from lastbit.script import Target
    from lastbit.script.trace.finding import TraceComparison
    from lastbit.script.trace.places import RoundingEnvelope, TracePlace

RECORD, PAGE = "audit.json", "audit.html"  # what is kept of an audit
_MOST_RANKS = 4  # of those that only received a difference
_MOST_SETTINGS = 20  # rows of the table of environments on the terminal


HELP = """\
Usage: lastbit audit diff [OPTIONS] A.trace B.trace

Compare two runs that `lastbit audit --record` kept, of other machines, versions or settings.

Says where the bits first differ, and where the runs differ by more than rounding explains. Nothing is run. Places are
those of A.trace. Of a run of several processes give the file of rank 0; the others are found beside it. What rounding
explains is read from A.trace.rounding, which `--record A.trace --rounding` leaves there.

Options:
  --out DIR    Keep the result and its page there, in place of an earlier audit.
  --fail       For CI: exit status 1 where the runs are not shown to be the same computation, or a trace is cut short.
  --json FILE  Write the result as JSON; - for standard output.
  -h, --help   Show this message and exit.

Example: lastbit audit diff A.trace B.trace --out kept"""


class AuditCommand(ScriptCommand):
    """`lastbit audit`, whose `diff` has a help of its own."""

    def help_of(self, args: Sequence[str]) -> str | None:
        """The help of `audit diff`, where it is asked for."""
        before = args[: args.index("--")] if "--" in args else args
        asked = {"-h", "--help"} & set(before)
        return HELP if asked and is_diff([word for word in before if not word.startswith("-")]) else None


def is_diff(words: Sequence[str]) -> bool:
    """Whether what follows `lastbit audit` asks for a comparison of two files, and is no script of that name."""
    return bool(words) and words[0] == "diff" and not Path("diff").exists()


def compared(words: Sequence[str]) -> TraceComparison:
    """Compare two traces, of all their ranks.

    Args:
        words: of the command line, `diff` and the two files, of rank 0 each.

    Raises:
        LastbitError: there are not two files, or they are no traces of one program.
    """
    if len(words) != 3:
        raise LastbitError(f"audit diff takes two traces, not {len(words) - 1}: lastbit audit diff A.trace B.trace")
    from lastbit.script.trace.ranks import read_run

    one, other = (read_run(Path(word)) for word in words[1:])
    # Only now, as it imports torch, which takes seconds: a file that is no trace is refused before.
    from lastbit.script.trace.comparison import compare_traces
    from lastbit.script.trace.rounding import kept_envelopes

    return compare_traces(one, other, kept_envelopes(Path(words[1]), len(one)))


def compared_with(target: Target, path: Path, *, steps: int | None, threads: int | None) -> TraceComparison:
    """Run a program and compare it with a trace, knowing what rounding explains.

    That is kept beside the trace, or else measured here by two more runs.

    Args:
        target: the program.
        path: of the trace.
        steps: optimizer steps after which to stop; None for as many as the trace was to have.
        threads: of torch; None for the program's own choice.

    Raises:
        LastbitError: the file is no trace, or of another program; or the program failed.
    """
    from lastbit.script.launchers import launch_of
    from lastbit.script.trace.ranks import read_run
    from lastbit.script.trace.same_script import check_same_script

    reference = read_run(path)
    warning = check_same_script(target, launch_of(target), reference[0].header)
    if warning is not None:  # at once: the run may take long
        SafeConsole(stderr=True).print(f"warning: {warning}", markup=False, soft_wrap=True)
    # Only now, as they import torch: what is no trace, or of another script, is refused before.
    from lastbit.script.trace.comparison import compare_traces
    from lastbit.script.trace.rounding import carried_over, kept_envelopes

    envelopes: Sequence[RoundingEnvelope] | None = kept_envelopes(path, len(reference))
    wanted = reference[0].header.steps if steps is None else steps
    with tempfile.TemporaryDirectory(prefix="lastbit-against-") as folder:
        here = Path(folder, "here.trace")
        recorded(target, here, steps=wanted, threads=threads, temporary=True)
        run = read_run(here)
        if envelopes is None and not compare_traces(reference, run).same_bits:
            envelopes = carried_over(measured(target, here, steps=wanted, threads=threads), run, reference)
        return compare_traces(reference, run, envelopes)


def show_comparison(comparison: TraceComparison, names: tuple[str, str], *, out: Path | None, json: str | None) -> None:
    """Write the result and its page, and show it.

    Args:
        comparison: of two runs.
        names: of the two traces.
        out: a directory that is there, for both; None for none.
        json: where the result goes as JSON.
    """
    if out is not None:
        from lastbit.report.traces import write_trace_page  # the charts' library takes a third of a second to import

        with writing(f"--out {out}"):
            write_output(out / RECORD, to_json(comparison.as_json(), indent=1).encode())
            write_trace_page(comparison.page_content(names), out / PAGE)
    write_json(json, comparison.as_json())
    if json != "-":
        _show(comparison, names, console(json))
        if out is not None:
            console(json).print(f"page: {out / PAGE}", soft_wrap=True)


def _show(comparison: TraceComparison, names: tuple[str, str], terminal: Console) -> None:
    from lastbit.report.table import Table

    terminal.print(comparison.verdict, style="bold", soft_wrap=True)
    _show_place("first other bits", comparison.first_different, terminal)
    _show_place("beyond rounding", comparison.beyond_rounding, terminal)
    received = [place for rank in comparison.ranks if (place := rank.beyond_rounding) and place.received]
    for place in received[:_MOST_RANKS] if len(comparison.ranks) > len(received) else ():
        terminal.print(f"rank {place.rank}: {place.differs}, step {place.step:,}", soft_wrap=True)
    settings = comparison.settings
    if settings:
        terminal.print("what differs between the environments:")
        terminal.print(Table("environments", "", ("setting", *names), settings[:_MOST_SETTINGS]).for_terminal())
    if len(settings) > _MOST_SETTINGS:
        terminal.print(f"and {len(settings) - _MOST_SETTINGS} more, which the page of --out shows")


def _show_place(label: str, place: TracePlace | None, terminal: Console) -> None:
    from lastbit.report.numbers import scientific

    if place is None:
        return
    rank = f", rank {place.rank}" if place.rank else ""
    rows = [
        ("operation", f"{place.operation}, number {place.index:,}, {place.phase}, step {place.step:,}{rank}"),
        ("module", place.module),
        ("line", place.line),
        ("distance", None if place.distance is None else scientific(place.distance)),
        ("differs", place.differs),
    ]
    terminal.print(f"{label}:")
    for name, text in rows:
        if text is not None:
            terminal.print(f"  {name:<10} {text}", soft_wrap=True)
