"""From a page as it is written to the page that the site is built from, its blocks run; many pages at once."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from docs.builder.blocks import BlockError, Session, blocks, run_page
from docs.builder.formulas import set_formulas


def run_pages(source: Path, built: Path) -> Iterator[int | str]:
    """Build all pages in a process for each core; give how many blocks of each were run, or what failed.

    Args:
        source: the directory of the pages as they are written.
        built: where the site is built from, laid out alike.
    """
    # Outputs must not depend on the number of cores, and processes that share them only wait for each other's threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    pages = sorted(source.rglob("*.md"), key=_commands, reverse=True)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_tried, source, built), pages)


def _commands(page: Path) -> int:
    """How many commands a page runs: those with most take longest, and begin first."""
    return sum(block.language == "sh" and block.runs for block in blocks(page.read_text()))


def _tried(source: Path, built: Path, page: Path) -> int | str:
    try:
        return _build(source, built, page)
    except BlockError as error:
        return f"{page}: {error}"


def _build(source: Path, built: Path, page: Path) -> int:
    place = built / page.relative_to(source)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lastbit-docs-") as directory:
        session = Session(Path(directory))
        text = run_page(page.read_text(), session, place.parent / f"{page.stem}-made")
    text = _without_links_out(text, page, source)
    place.write_text(set_formulas(text) + (_made_on() if session.ran else ""))
    return session.ran


def _without_links_out(text: str, page: Path, source: Path) -> str:
    """Links to other parts of the repository, which the site does not hold, as their plain words."""

    def plain(found: re.Match[str]) -> str:
        target = (page.parent / found["target"].partition("#")[0]).resolve()
        return found["words"] if target.exists() and source not in target.parents else found[0]

    return re.sub(r"(?<!!)\[(?P<words>[^]\n]+)\]\((?P<target>\.\.?/[^)\s]+)\)", plain, text)


def _made_on() -> str:
    return (
        f"\n---\n\n*The outputs on this page are what its blocks wrote when it was built: lastbit {version('lastbit')},"
        f" torch {version('torch')}, Python {platform.python_version()}, {platform.machine()}. Another processor or"
        " library rounds differently, and what grows from the last bit comes out differently there.*\n"
    )
