import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from lastbit.cli.output import SafeConsole, printable
from lastbit.cli.progress import progress_bar

HOSTILE = "[red]a[/] [/] [link=x]\x1b[2J\x1b]0;title\x07\u202eb\ud800\x9b31m"


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_only_what_a_terminal_obeys_is_replaced(text):
    shown = printable(text)
    assert len(shown) == len(text)
    assert all(mine == theirs or not theirs.isprintable() for mine, theirs in zip(shown, text, strict=True))
    assert not {"\x1b", "\x9b", "\r", "\x07", "\u202e"} & set(shown)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("kind", ["text", "cell", "head", "Text", "title"])
def test_names_are_printed_as_they_are_and_obeyed_nowhere(kind, terminal):
    written = io.StringIO()
    console = SafeConsole(file=written, force_terminal=terminal, width=200, color_system=None)
    table = Table("name" if kind != "head" else HOSTILE, title=HOSTILE if kind == "title" else None)
    table.add_row(Text(HOSTILE) if kind == "Text" else HOSTILE)
    console.print(HOSTILE if kind == "text" else table)
    said = written.getvalue()
    assert "\x1b[2J" not in said
    assert "\x9b" not in said
    assert "\u202e" not in said
    assert "[red]a[/] [/] [link=x]␛[2J␛]0;title" in said.replace("␇", "")
    said.encode()


def test_a_progress_bar_neither_fails_on_markup_nor_obeys_it(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(
        "lastbit.cli.progress.SafeConsole", lambda **_: SafeConsole(file=written, force_terminal=True, width=120)
    )
    with progress_bar("[/] \x1b[2Jx", "trials", 3) as show:
        show(done=1, remark="[/red]")
    assert "[/] ␛[2J" in written.getvalue()
    assert "[/red]" in written.getvalue()
    assert "\x1b[2J" not in written.getvalue()


def test_an_error_quotes_hostile_text_in_one_harmless_line(lastbit):
    code, out, err = lastbit("report", "no\nsuch \x1b[31m[red]place")
    assert (code, out, err) == (2, "", "lastbit: there is no directory no such ␛[31m[red]place\n")
