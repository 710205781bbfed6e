"""`lastbit explore`: theory and training of one layer, and stored studies, on a page with sliders."""

from __future__ import annotations

import importlib.util
import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from lastbit.cli.output import JsonOption, console, write_json
from lastbit.errors import LastbitError
from lastbit.machine import how_to_install


def explore(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A study, or a folder of studies, to open first.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of the page; 0 for any free port.")
    ] = 2718,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
    json: JsonOption = None,
) -> None:
    """Open a page on this machine: one layer's amplification, stable band and training, and stored studies.

    The page is served to this machine only, with a token in the address, and loads nothing from other hosts. Ctrl-C
    ends it. It needs the extra `[explore]`.

    Example: `lastbit explore runs`
    """
    _check_installed()
    from lastbit.explore.serve import listen, serve  # only here: an extra that most do without

    place = _checked(directory)
    listening = listen(port)

    def ready(address: str) -> None:
        """Say where the page is, and open it."""
        write_json(json, {"address": address})
        if json != "-":
            console(json).print(f"{address}\nThe address holds the key to the page. Ctrl-C ends it.", soft_wrap=True)
        if not no_browser:
            webbrowser.open(address)

    serve(listening, ready, study=place)
    # The page calculates in threads that cannot be stopped. While one of them is in torch's code, the end of the
    # interpreter would take it away from beneath that code, which aborts the process; the system ends both at once.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _checked(directory: Path | None) -> str:
    """The absolute path of a directory that holds a study or studies; empty for None."""
    from lastbit.explore.study_view import studies_in, study_directory

    if directory is None:
        return ""
    place = str(directory.expanduser().resolve())
    if not studies_in(place):
        study_directory(place)
    return place


def _check_installed() -> None:
    missing = [name for name in ("marimo", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise LastbitError(f"{missing[0]} is not installed; {how_to_install('explore')}")
