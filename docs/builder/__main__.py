"""`python -m docs.builder`: build the site into build/site, from pages whose blocks have been run."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from docs.builder.links import check_links, problems
from docs.builder.pages import run_pages
from docs.builder.reference import write_reference

_ROOT = Path(__file__).parents[2]
_PAGES, _BUILT, _SITE = _ROOT / "docs", _ROOT / "build" / "docs", _ROOT / "build" / "site"


def build() -> int:
    """Build the site, say what was run and checked, and return the exit status."""
    began = time.monotonic()
    for directory in (_BUILT, _SITE):
        shutil.rmtree(directory, ignore_errors=True)
    counts = list(run_pages(_PAGES, _BUILT))
    if failed := [count for count in counts if isinstance(count, str)]:
        sys.stderr.write("\n\n".join([*failed, ""]))
        return 1
    ran = [count for count in counts if isinstance(count, int)]
    write_reference(_BUILT / "reference")
    shutil.copytree(_PAGES / "look", _BUILT / "look")
    run_in = time.monotonic() - began
    if subprocess.run([Path(sys.executable).parent / "zensical", "build", "--clean", "--strict"], cwd=_ROOT).returncode:
        return 1
    found = check_links(_SITE)
    sys.stdout.write(
        f"{sum(ran)} blocks run on {sum(count > 0 for count in ran)} pages in {run_in:.0f} s\n"
        f"{found.checked} internal links checked, {len(found.broken)} broken; {found.external} external links not"
        f" fetched; {len(found.loaded)} files loaded from elsewhere\n"
        f"site: build/site, after {time.monotonic() - began:.0f} s\n"
    )
    sys.stderr.writelines(f"{each}\n" for each in problems(found))
    return 1 if found.broken or found.loaded else 0


def main() -> int:
    """Read the command line, which has no options but `--help`, and build."""
    argparse.ArgumentParser(
        prog="python -m docs.builder",
        description="Run the blocks of the pages in docs/ into build/docs, build the site from there, strictly, into"
        " build/site, and check its links.",
        epilog="Exit status 1: a block, a link or the site failed. It takes some minutes and needs no network.",
    ).parse_args()
    return build()


if __name__ == "__main__":
    sys.exit(main())
