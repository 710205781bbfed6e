"""`lastbit doctor`: is this machine fit for studies?"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lastbit.cli.options import DeviceOption, RootOption
from lastbit.cli.output import JsonOption, console, write_json

if TYPE_CHECKING:
    from lastbit.cli.doctor_checks import Examination


_STYLES = {"OK": "green", "note": "yellow", "fails": "bold red", "cannot be checked here": "dim"}  # by `Condition`
_PIPE_WIDTH = 160  # columns where there is no terminal to fit


def doctor(
    device: DeviceOption = "auto",
    root: RootOption = None,
    json: JsonOption = None,
) -> None:
    """Show this machine's numerics, and check that they repeat.

    It takes seconds, and says whether studies can run here. A small training is run five times in two fresh processes,
    basic operations twenty times each. Exit status 1 says that a check fails.

    Example: `lastbit doctor`
    """
    from lastbit.cli.doctor_checks import examine, steps
    from lastbit.cli.progress import progress_bar
    from lastbit.training.device import choose_device

    chosen = choose_device(device)
    with progress_bar("examining this machine", "checks", steps(chosen)) as show:
        done = count(1)
        examination = examine(chosen, root=root, on_step=lambda: show(done=next(done)))
    write_json(json, examination.as_json())
    if json != "-":
        _show(examination, console(json))
    if not examination.fit:
        raise typer.Exit(1)


def _show(examination: Examination, terminal: Console) -> None:
    from lastbit.execution.repeatability import Condition

    if not terminal.is_terminal:
        terminal.width = _PIPE_WIDTH
    numerics = Table("fingerprint", "value", title=f"numerics of a trial on {examination.device}", title_justify="left")
    for name, value in examination.fingerprint.items():
        numerics.add_row(name, "–" if value is None else str(value))
    terminal.print(numerics)
    checks = Table("check", title="checks", title_justify="left")
    checks.add_column("outcome", max_width=9)
    checks.add_column("found")
    for check in examination.checks:
        checks.add_row(check.name, Text(check.outcome, style=_STYLES[check.outcome]), check.said)
    terminal.print(checks)
    failing = [check.name for check in examination.checks if check.outcome is Condition.FAILS]
    verdict = f"This machine is not fit for studies: {', '.join(failing)}." if failing else "This machine is fit."
    terminal.print(verdict, style="bold")
