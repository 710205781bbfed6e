"""The page writer: blocks in order become one HTML file that holds everything it needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined

from lastbit.report.charts.figure import Figure, javascript
from lastbit.report.charts.look import config
from lastbit.report.table import Table, is_alert, small_line
from lastbit.storage.outputs import write_output


@dataclass(frozen=True)
class Heading:
    """A heading within a page."""

    text: str  # plain, or markupsafe's Markup
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str  # plain, or markupsafe's Markup
    kind: str = ""  # of the style sheet: `lead`, `finding`, `note`, `formula`, `standing doubt`, …


@dataclass(frozen=True)
class Pre:
    """Text as a program wrote it."""

    text: str


@dataclass(frozen=True)
class Html:
    """Markup of lastbit's own, or of a plug-in, as it is; nothing that a file holds goes into it."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    rows: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True)
class Items:
    """A list whose entries hold blocks."""

    entries: "Sequence[tuple[str, Sequence[Block]]]"  # style and content
    kind: str


@dataclass(frozen=True)
class Details:
    """What is shown on a click."""

    summary: str
    blocks: "Sequence[Block]"
    is_open: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page that links can lead to."""

    anchor: str  # begins the ids of its charts; empty where nothing leads there
    blocks: "Sequence[Block]"
    kind: str = ""


Block: TypeAlias = Heading | Text | Pre | Html | Facts | Items | Details | Section | Figure | Table


@dataclass(frozen=True)
class Page:
    """A page: what a reader needs first stands in its header."""

    name: str  # begins the ids of charts outside of any section
    title: str  # of the window
    heading: str
    header: Sequence[Block]
    body: Sequence[Block]


def write_page(page: Page, path: Path) -> None:
    """Write a page as one HTML file; it opens offline and asks for nothing else.

    Args:
        page: what it shows.
        path: replaced in one step; its directory is made where it is missing.
    """
    # A name read from JSON may hold half a surrogate pair, which no file can.
    write_output(Path(path), render(page, libraries=javascript()).encode("utf-8", "replace"))


def render(page: Page, *, libraries: str) -> str:
    """A page's HTML.

    Args:
        page: what it shows.
        libraries: JavaScript that defines `vegaEmbed`, as `javascript()` gives it.
    """
    environment = Environment(
        loader=PackageLoader("lastbit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["small_line"] = small_line
    environment.tests["alert"] = is_alert
    specs = {place: figure.spec() for place, figure in placed([*page.header, *page.body], page.name)}
    looks = {ground: config(ground) for ground in ("light", "dark")}
    text = environment.get_template("page.html.j2").render(
        page=page,
        charts={"looks": looks, "specs": specs},
        style=_asset("page.css"),
        drawing=_asset("page.js"),
        libraries=libraries,
    )
    return text.lstrip("\n")  # which the template's macros leave before the document's type


def placed(blocks: Sequence[Block], anchor: str) -> Iterator[tuple[str, Figure]]:
    """The figures that are drawn, each with the id of its place."""
    for block in blocks:
        if isinstance(block, Figure) and block.is_drawn:
            yield f"{anchor}-{block.name}", block
        elif isinstance(block, Section):
            yield from placed(block.blocks, block.anchor or anchor)
        elif isinstance(block, Details):
            yield from placed(block.blocks, anchor)


def _asset(name: str) -> str:
    return (resources.files("lastbit.report") / "templates" / name).read_text(encoding="utf-8")
