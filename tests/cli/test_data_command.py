import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lastbit.cli.data import app
from lastbit.cli.output import SafeConsole
from lastbit.errors import LastbitError
from lastbit.training.data import inventory
from lastbit.training.data.catalogue import ENTRIES, FetchError
from lastbit.training.data.fetching import Fetched


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args], standalone_mode=False)


def refusal(*args):
    """Return the exit status and the one line that a command ends with."""
    result = run(*args)
    assert result.stdout == ""
    message = str(result.exception)
    assert "\n" not in message
    return 2 if isinstance(result.exception, LastbitError) else result.exception.exit_code, message


def rows(text):
    """Return the row of each set; the notes, which come after the table, begin with the names too."""
    lines = [line for line in reversed(text.splitlines()) if line.split() and line.split()[0] in ENTRIES]
    return {line.split()[0]: line.strip() for line in lines}


def test_the_list_has_a_row_for_every_set(tmp_path):
    result = run("list", "--root", tmp_path)
    table = rows(result.stdout)
    assert set(table) == set(ENTRIES)
    assert re.split(r"\s{2,}", table["cifar10"]) == [
        "cifar10",
        "50,000+10,000",
        "3x32x32",
        "10",
        "not stated",
        "184 MB",
        "not fetched",
    ]
    assert table["fashion-mini"].split()[-1] == "bundled"
    assert "the test set is the training set" in result.stdout


def test_the_list_says_where_a_damaged_file_is(tmp_path):
    (tmp_path / "cifar10.npz").write_bytes(b"cut short")
    result = run("list", "--root", tmp_path)
    assert rows(result.stdout)["cifar10-5k"].split()[-1] == "damaged"
    assert re.search(rf"^damaged +at {re.escape(str(tmp_path / 'cifar10.npz'))}", result.stdout, re.MULTILINE)


def test_json_on_standard_output_is_all_there(tmp_path):
    found = json.loads(run("list", "--root", tmp_path, "--json", "-").stdout)
    for item, expected in zip(found, inventory(root=tmp_path), strict=True):
        path = None if expected.path is None else str(expected.path)
        assert item == vars(expected) | {
            "path": path,
            "shape": list(expected.shape),
            "classes": list(expected.classes),
        }


def test_json_in_a_file_beside_the_table(tmp_path):
    file = tmp_path / "list.json"
    result = run("list", "--root", tmp_path, "--json", file)
    assert "fashion-mini" in result.stdout
    assert [item["name"] for item in json.loads(file.read_text())] == list(ENTRIES)


def test_fetching_what_is_bundled_says_so(tmp_path):
    result = run("fetch", "fashion-mini", "--root", tmp_path)
    assert (result.exception, result.stdout) == (None, "fashion-mini comes with lastbit: verified\n")
    assert run("fetch", "digits").stdout == "digits comes with scikit-learn: verified\n"
    fetched = json.loads(run("fetch", "mnist01", "--json", "-").stdout)
    assert (fetched["name"], fetched["source"], fetched["passed_over"]) == ("mnist01", "bundled", [])
    assert Path(fetched["path"]).is_file()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("cache", "toy was here already: verified, at /data/toy.npz\n"),
        (
            "npm package toy@1",
            "toy fetched from npm package toy@1: verified, at /data/toy.npz\n  passed over example: away\n",
        ),
    ],
)
def test_fetching_says_from_where_and_what_was_passed_over(monkeypatch, source, sentence):
    passed_over = ("example: away",) if source != "cache" else ()
    asked = []

    def fetch(name, *, root, progress):
        asked.append((name, root))
        progress("toy.bin", 1, 2)
        return Fetched(name, Path("/data/toy.npz"), source, passed_over)

    monkeypatch.setattr("lastbit.training.data.fetching.fetch", fetch)
    result = run("fetch", "toy", "--root", "/data")
    assert (result.stdout, result.stderr) == (sentence, "")
    assert asked == [("toy", Path("/data"))]


def test_a_bar_is_drawn_on_a_terminal_for_the_latest_thing_only(monkeypatch):
    def fetch(name, *, root, progress):
        progress("first.bin", 1_000_000, 4_000_000)
        progress("npm package toy@1", 0, None)
        return Fetched(name, Path("/data/toy.npz"), "cache")

    monkeypatch.setattr("lastbit.training.data.fetching.fetch", fetch)
    monkeypatch.setattr("lastbit.cli.data.SafeConsole", partial(SafeConsole, force_terminal=True, width=100))
    result = run("fetch", "toy")
    last = result.stderr.split("\r")[-2 if result.stderr.endswith("\r") else -1]
    assert "npm package toy@1" in result.stderr
    assert "first.bin" not in last
    assert result.stdout == "toy was here already: verified, at /data/toy.npz\n"


def test_a_failed_fetch_exits_1_and_names_the_sources(monkeypatch):
    def fetch(name, *, root, progress):
        raise FetchError("cannot fetch toy: example: away")

    monkeypatch.setattr("lastbit.training.data.fetching.fetch", fetch)
    assert refusal("fetch", "toy") == (1, "cannot fetch toy: example: away")


def test_wrong_input_exits_2_with_one_line(tmp_path):
    status, message = refusal("fetch", "cifr10")
    assert status == 2
    assert message.startswith("there is no data set 'cifr10': did you mean cifar10 or cifar10-5k?")
    file = tmp_path / "file"
    file.touch()
    assert refusal("list", "--root", file)[0] == 2
    assert str(file) in refusal("fetch", "cifar10", "--root", file)[1]


def test_the_command_itself():
    command = [sys.executable, "-c", "from lastbit.cli.main import main; main()", "data", "fetch", "cifr10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"lastbit: there is no data set 'cifr10': did you mean [^\n]*\n", done.stderr)
