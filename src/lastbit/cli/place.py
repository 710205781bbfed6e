"""Where a command reads from: a directory here, or a URL whose files are copied for as long as they are needed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lastbit.cli.printable import SafeConsole
from lastbit.storage.url_copies import local_copy


@contextmanager
def opened(place: str, *, wanted: Sequence[str] = ("*",)) -> Iterator[Path]:
    """Give the directory to read, with a bar on standard error, on a terminal only, while files are copied.

    Args and errors are those of `lastbit.storage.url_copies.local_copy`.
    """
    terminal = SafeConsole(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files, "),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal, transient=True) as progress:
        task = progress.add_task(f"copy {place}", total=None, visible=False)
        copying = local_copy(
            place,
            wanted=wanted,
            on_file=lambda done, total: progress.update(task, completed=done, total=total, visible=done < total),
        )
        with copying as directory:
            yield directory
