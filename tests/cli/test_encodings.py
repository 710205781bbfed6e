"""Terminals that are not UTF-8: everything is written, what their encoding lacks as plain signs or escapes."""

import io
import json
import os
import subprocess
import sys

import pytest
from rich.table import Table
from typer.main import get_command

from lastbit.cli.commands import app
from lastbit.cli.main import main
from lastbit.cli.output import SafeConsole, always_encodable
from lastbit.cli.progress import progress_bar

BUILT = get_command(app)


@pytest.fixture(params=["ascii", "latin-1", "cp1252", "utf-8"])
def encoded(request, monkeypatch, tmp_path):
    """Run a command with streams of an encoding; give its exit status, and both as text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LASTBIT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("lastbit.cli.commands.app", BUILT)

    def run(*arguments):
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=request.param) for _ in range(2)]
        monkeypatch.setattr(sys, "stdout", streams[0])
        monkeypatch.setattr(sys, "stderr", streams[1])
        monkeypatch.setattr(sys, "argv", ["lastbit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        for stream in streams:
            stream.flush()
        return ended.value.code, *(stream.buffer.getvalue().decode(request.param) for stream in streams)

    run.encoding = request.param
    return run


@pytest.mark.parametrize(
    "words",
    [
        *(("--help",), ("study", "--help"), ("pde", "heat", "--help"), ("recipe", "list"), ("recipe", "show", "demo")),
        *(("data", "list"), ("paper", "list"), ("pde", "heat", "--dt", "0.8", "--steps", "10")),
        ("pde", "cnn", "--lr", "0.1", "--size", "8", "--kernel", "3", "--steps", "3"),
    ],
    ids=" ".join,
)
def test_what_commands_say_is_written(encoded, words):
    code, out, err = encoded(*words)
    assert (code, err) == (0, "")
    assert out.strip()


def test_boxes_are_of_signs_that_the_encoding_has(encoded):
    _, out, _ = encoded("recipe", "--help")
    assert ("╭" in out) == (encoded.encoding == "utf-8")
    assert ("+-" in out) == (encoded.encoding != "utf-8")


def test_an_error_quotes_what_was_given(encoded):
    code, out, err = encoded("report", "naïve → \udcff")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("lastbit: there is no directory na")


def test_json_on_standard_output_is_json(encoded):
    code, out, _ = encoded("recipe", "list", "--json", "-")
    assert code == 0
    assert "β" in str(json.loads(out))
    code, out, _ = encoded("recipe", "show", "demo", "--set", 'description="naïve → 𝛁 \\u0007"', "--json", "-")
    assert code == 0
    assert json.loads(out)["description"] == "naïve → 𝛁 \a"


def test_progress_is_written(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    always_encodable(stream)
    monkeypatch.setattr("lastbit.cli.progress.SafeConsole", lambda **_: SafeConsole(file=stream, force_terminal=True))
    with progress_bar("θ → é", "trials", 3) as show:
        show(done=2, remark="✓")
    stream.flush()
    said = stream.buffer.getvalue().decode("latin-1")
    assert "\\u03b8 \\u2192 é" in said
    assert "2/3" in said


def test_signs_become_plain_ones_in_their_place():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    always_encodable(stream)
    table = Table("claim")
    table.add_row("✓ a – b × 2 … “c”")
    SafeConsole(file=stream, width=40).print(table)
    stream.flush()
    assert '| + a - b x 2 . "c" |' in stream.buffer.getvalue().decode("ascii")


@pytest.mark.parametrize(
    "settings",
    [{"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["latin-1", "C"],
)
def test_the_command_itself(settings):
    words = [sys.executable, "-m", "lastbit", "pde", "heat", "--dt", "0.8", "--steps", "10"]
    done = subprocess.run(words, env=os.environ | settings, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"largest stable" in done.stdout


def test_closed_streams_are_no_fault():
    words = f"{sys.executable} -m lastbit recipe list --json - >&- 2>&-"
    assert subprocess.run(words, shell=True, check=False).returncode == 0
