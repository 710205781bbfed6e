"""`python -m docs.builder`: build the site into build/site, from pages whose blocks have been run."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from docs.builder.blocks import BlockError, Session, run_page
from docs.builder.formulas import set_formulas
from docs.builder.links import check_links, problems
from docs.builder.reference import write_reference

_ROOT = Path(__file__).parents[2]
_PAGES, _BUILT, _SITE = _ROOT / "docs", _ROOT / "build" / "docs", _ROOT / "build" / "site"


def build() -> int:
    """Build the site, say what was run and checked, and return the exit status."""
    began = time.monotonic()
    for directory in (_BUILT, _SITE):
        shutil.rmtree(directory, ignore_errors=True)
    ran, failed = {}, []
    for page in sorted(_PAGES.rglob("*.md")):
        try:
            ran[page] = _built(page)
        except BlockError as error:
            failed.append(str(error))
    if failed:
        sys.stderr.write("\n\n".join([*failed, ""]))
        return 1
    write_reference(_BUILT / "reference")
    shutil.copytree(_PAGES / "look", _BUILT / "look")
    run_in = time.monotonic() - began
    if subprocess.run([Path(sys.executable).parent / "zensical", "build", "--clean", "--strict"], cwd=_ROOT).returncode:
        return 1
    found = check_links(_SITE)
    sys.stdout.write(
        f"{sum(ran.values())} blocks run on {sum(count > 0 for count in ran.values())} pages in {run_in:.0f} s\n"
        f"{found.checked} internal links checked, {len(found.broken)} broken; {found.external} external links not"
        f" fetched; {len(found.loaded)} files loaded from elsewhere\n"
        f"site: build/site, after {time.monotonic() - began:.0f} s\n"
    )
    sys.stderr.writelines(f"{each}\n" for each in problems(found))
    return 1 if found.broken or found.loaded else 0


def _built(page: Path) -> int:
    place = _BUILT / page.relative_to(_PAGES)
    place.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text()
    with tempfile.TemporaryDirectory(prefix="lastbit-docs-") as directory:
        session = Session(Path(directory))
        try:
            text = run_page(text, session, place.parent / f"{page.stem}-made")
        except BlockError as error:
            raise BlockError(f"{page.relative_to(_ROOT)}: {error}") from error
    text = _without_links_out(text, page)
    place.write_text(set_formulas(text) + (_made_on() if session.ran else ""))
    return session.ran


def _without_links_out(text: str, page: Path) -> str:
    """Links to other parts of the repository, which the site does not hold, as their plain words."""

    def plain(found: re.Match[str]) -> str:
        target = (page.parent / found["target"].partition("#")[0]).resolve()
        return found["words"] if target.exists() and _PAGES not in target.parents else found[0]

    return re.sub(r"(?<!!)\[(?P<words>[^]\n]+)\]\((?P<target>\.\.?/[^)\s]+)\)", plain, text)


def _made_on() -> str:
    return (
        f"\n---\n\n*The outputs on this page are what its blocks wrote when it was built: lastbit {version('lastbit')},"
        f" torch {version('torch')}, Python {platform.python_version()}, {platform.machine()}. Another processor or"
        " library rounds differently, and what grows from the last bit comes out differently there.*\n"
    )


if __name__ == "__main__":
    sys.exit(build())
