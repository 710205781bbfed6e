"""What a reader of the README runs leaves nothing in the repository that git would show."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEFAULTS = {"demo", "compare", "runs"}  # where commands write if nobody says where


def test_git_ignores_whatever_the_readme_writes():
    readme, ignored = (ROOT / "README.md").read_text(), (ROOT / ".gitignore").read_text().splitlines()
    named = re.findall(r"--(?:out|charts|work|json) ([\w./-]+)", readme) + re.findall(r"\.report\(\"(.+?)\"\)", readme)
    tops = {Path(name).parts[0] for name in named if name not in ("-", "FILE")} | DEFAULTS
    assert {"runs", "phase", "mine.html"} <= tops
    assert [top for top in sorted(tops) if not {f"/{top}/", f"/{top}"} & set(ignored)] == []
