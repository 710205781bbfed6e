"""`lastbit check`: is a stored study complete and unaltered?"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lastbit.cli.output import FailedError, JsonOption, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.directories import STUDY, TRIALS

if TYPE_CHECKING:
    from lastbit.study.findings import Checked


def check(
    place: Annotated[str, typer.Argument(metavar="DIR", help="Of a study, or one that holds studies, or its URL.")],
    json: JsonOption = None,
) -> None:
    """Verify a stored study: checksums, trials, no foreign file.

    Each finding comes with what to do about it. Nothing is changed. The exit status is 1 where something is damaged or
    foreign. Damaged files are never used; the command of the study says so too.

    Example: `lastbit check runs/demo`
    """
    from lastbit.cli.progress import opened

    with opened(place) as directory:
        studies = [_named(_checked(study), directory, place) for study in _studies(directory)]
    write_json(json, [checked.as_json() for checked in studies])
    if json != "-":
        for checked in studies:
            _show(checked, console(json))
    bad = [checked.directory for checked in studies if not checked.is_sound]
    if bad:
        raise FailedError(f"not sound: {', '.join(bad)}")


def _studies(directory: Path) -> list[Path]:
    """The directory itself, or the studies directly below it.

    Raises:
        LastbitError: there is none.
    """
    from lastbit.study.directory import no_directory

    if not directory.is_dir():
        raise LastbitError(no_directory(directory))
    below = sorted(path.parent for path in directory.glob(f"*/{STUDY}"))
    here = any((directory / name).exists() for name in (STUDY, TRIALS))
    return [directory] if here or not below else below


def _named(checked: Checked, directory: Path, place: str) -> Checked:
    """Name the place that was given, instead of its local copy."""

    def there(text: str) -> str:
        """Put the place as it was given for the path of its copy."""
        return text.replace(str(directory), place.rstrip("/"))

    findings = tuple(replace(finding, cure=there(finding.cure)) for finding in checked.findings)
    return replace(checked, directory=there(str(checked.directory)), findings=findings)


def _checked(place: Path) -> Checked:
    from lastbit.cli.progress import progress_bar
    from lastbit.study.check import check_study

    total = sum(1 for _ in (place / TRIALS).glob("*"))
    with progress_bar(f"check {place}", "trials", total) as show:
        done = count(1)
        return check_study(place, on_trial=lambda: show(done=next(done)))


def _verdict(checked: Checked) -> str:
    if checked.is_sound and checked.trials == 0:
        return "no trial is stored yet, and nothing is damaged"
    trials = f"{checked.trials:,} trial{'s' if checked.trials != 1 else ''}"
    held = f"{checked.files:,} file{'s' if checked.files != 1 else ''} compared with their checksums"
    return f"{'sound' if checked.is_sound else 'NOT sound'} ({trials}, {held})"


def _show(checked: Checked, terminal: Console) -> None:
    terminal.print(f"{checked.directory}: {_verdict(checked)}", soft_wrap=True)
    for finding in checked.findings:
        terminal.print(f"  {finding.kind}: {finding.path}: {finding.what}; {finding.cure}", soft_wrap=True)
    if checked.drawings:
        drawn = ", ".join(f"{path}" for path in checked.drawings)
        terminal.print(f"  drawn from the results, without checksums: {drawn}", soft_wrap=True)
