"""The README is short and renders anywhere; what its reader runs leaves nothing that git would show."""

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from lastbit.cli.commands import app

ROOT = Path(__file__).parents[2]
DEFAULTS = {"demo", "compare", "runs"}  # where commands write if nobody says where


def test_the_readme_is_short_and_renders_where_its_folder_is_not():
    """As on PyPI: no link and no picture is relative, and what it names by its path is there."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")] == []
    named = re.findall(r"`((?:docs|examples|results)/[\w./-]*|[A-Z]+\.md)`", text)
    assert len(named) >= 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_git_ignores_whatever_the_readme_and_the_tour_write():
    readme = (ROOT / "README.md").read_text() + (ROOT / "docs" / "tour.md").read_text()
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    named = re.findall(r"--(?:out|charts|work|json) ([\w./-]+)", readme) + re.findall(r"\.report\(\"(.+?)\"\)", readme)
    tops = {Path(name).parts[0] for name in named if name not in ("-", "FILE")} | DEFAULTS
    assert {"runs", "phase", "mine.html"} <= tops
    assert [top for top in sorted(tops) if not {f"/{top}/", f"/{top}"} & set(ignored)] == []


def command_lines():
    """The indented lines of README and tour that begin with `lastbit`."""
    for page in (ROOT / "README.md", ROOT / "docs" / "tour.md"):
        for line in page.read_text().splitlines():
            if re.match(r"    lastbit [a-z]", line):
                yield shlex.split(line, comments=True)[1:]


@pytest.mark.parametrize("words", [pytest.param(words, id=" ".join(words)) for words in command_lines()])
def test_every_command_line_is_understood(words):
    command = get_command(app)
    while isinstance(command, TyperGroup):
        name, *words = words
        command = command.commands[name]
    # Raises where an option is unknown, a value of the wrong type or an argument missing.
    command.make_context(command.name, list(words))
