"""The built site's links: every internal one must lead somewhere, and no page may load anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

_LOADING = frozenset({"script", "img", "iframe", "source", "video", "audio"})


@dataclass(frozen=True)
class Links:
    """What was found on a site."""

    checked: int  # internal links and files
    broken: tuple[str, ...]  # page: target
    loaded: tuple[str, ...]  # page: address on another host that the page itself would load
    external: int  # links to other hosts, which are not fetched


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag in _LOADING and "src" in found:
            self.loads.append(found["src"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and found.get("rel") in ("stylesheet", "preconnect", "icon", "preload"):
            self.loads.append(found["href"])


def check_links(site: Path) -> Links:
    """Check all pages of a built site, which is a directory; fragments must name an anchor of their page."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    targets = [
        (path, target, loads)
        for path, page in pages.items()
        for targets, loads in ((page.links, False), (page.loads, True))
        for target in targets
    ]
    outside = [each for each in targets if urlsplit(each[1]).netloc]
    inside = [each for each in targets if not urlsplit(each[1]).netloc and not urlsplit(each[1]).scheme]
    return Links(
        checked=len(inside),
        broken=tuple(_named(site, each) for each in inside if not _leads(site, pages, *each[:2])),
        loaded=tuple(_named(site, each) for each in outside if each[2]),
        external=sum(not loads for _, _, loads in outside),
    )


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text())
    return page


def _named(site: Path, found: tuple[Path, str, bool]) -> str:
    return f"{found[0].relative_to(site)}: {found[1]}"


def _leads(site: Path, pages: dict[Path, _Page], path: Path, target: str) -> bool:
    place, fragment = urldefrag(target)
    place = urlsplit(place).path
    if not place:
        return not fragment or fragment.startswith("__") or unquote(fragment) in pages[path].anchors
    there = (site / place.lstrip("/") if place.startswith("/") else path.parent / unquote(place)).resolve()
    there = there / "index.html" if there.is_dir() else there
    return there.is_file() and (not fragment or there not in pages or unquote(fragment) in pages[there].anchors)


def problems(found: Links) -> Iterator[str]:
    """What keeps the site from being whole, in lines."""
    yield from (f"broken link in {each}" for each in found.broken)
    yield from (f"loaded from elsewhere by {each}" for each in found.loaded)
