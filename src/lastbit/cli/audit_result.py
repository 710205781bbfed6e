"""What an audit of two runs in step has found, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lastbit.report.numbers import dimensions

if TYPE_CHECKING:
    from lastbit.script import Target
    from lastbit.script.audit.audit import Audit
    from lastbit.script.audit.compiled import GraphCounts
    from lastbit.script.audit.difference import Difference


def show_audit(target: Target, result: Audit, terminal: Console) -> None:
    """Print what an audit of two runs in step has found.

    Args:
        target: the program.
        result: of the audit.
        terminal: where it goes.
    """
    say = terminal.print
    name, difference = " ".join(target.words), result.first_difference
    if result.deterministic:
        counted = f"{result.operations:,} tensor operations over {result.steps:,} optimizer steps"
        say(f"{name}: bit-deterministic: two runs agree in the bits of {counted}", style="bold", soft_wrap=True)
    else:
        counted = f"tensor operation {result.operations:,}, after {result.steps:,} optimizer steps"
        say(f"{name}: not bit-deterministic: two runs first differ at {counted}", style="bold", soft_wrap=True)
    if difference is not None and difference.only_filled:
        say(f"only when fresh memory is filled with different values does {difference.op} differ:", soft_wrap=True)
    if difference is not None:
        _show_rows(list(_rows(difference)), terminal)
    if result.unseen:
        names = ", ".join(f"{name} ({count:,})" for name, count in result.unseen.items())
        say(f"compared by shape alone, since their values are not plain memory: {names}", soft_wrap=True)
    if result.unobserved:
        kinds = "; ".join(f"{kind} ({count:,})" for kind, count in result.unobserved.items())
        say(f"not compared, {sum(result.unobserved.values()):,} in all: {kinds}", soft_wrap=True)
    if result.compiled.graphs:
        say(_compiled(result.compiled), soft_wrap=True)
    for note in result.notes:
        say(f"note: {note}", soft_wrap=True)


def _compiled(counts: GraphCounts) -> str:
    again = f", {counts.recompiled:,} of them recompiled" if counts.recompiled else ""
    graphs = "1 compiled graph" if counts.graphs == 1 else f"{counts.graphs:,} compiled graphs"
    return f"{graphs}{again}: compared by inputs and results in each of {counts.calls:,} calls"


def _show_rows(rows: list[tuple[str, str]], terminal: Console) -> None:
    """On a terminal with what does not fit a line below its beginning; elsewhere each row on one line."""
    if not terminal.is_terminal:
        for label, text in rows:
            terminal.print(f"  {label:<10} {text}", soft_wrap=True)
        return
    table = Table.grid(padding=(0, 1))
    for label, text in rows:
        table.add_row(f"  {label:<10}", Text(text))
    terminal.print(table)


def _rows(difference: Difference) -> Iterator[tuple[str, str]]:
    yield "operation", f"{difference.op}, {difference.phase}"
    if difference.rank is not None:
        yield "rank", f"{difference.rank} of {difference.world}"
    if difference.module is not None:
        yield "module", difference.module
    if difference.line is not None:
        asked = (
            f", differentiated at {difference.called_from}"
            if difference.called_from not in (None, difference.line)
            else ""
        )
        yield "line", difference.line + asked
    if difference.elements is not None and difference.shape is not None:
        shape = dimensions(difference.shape)
        distance = "" if difference.max_ulp is None else f", by up to {difference.max_ulp:,} ulps"
        yield "differs", f"{difference.elements:,} elements of {shape}{distance}"
    yield "kind", difference.kind
    yield "cause", difference.cause
    yield "cure", difference.cure
