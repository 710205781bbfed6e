"""Every option that names a file to write: `--json` of every command, a report's page and its charts."""

import json
import os
import stat
import sys
import threading

import pytest
import typer

from lastbit.cli.commands import app
from lastbit.storage.files import read_checksummed

HEAT = ("pde", "heat", "--dt", "0.8", "--steps", "10")
STUDY = ("demo", "--scale", "smoke", "--set", "data.train=128", "--set", "data.test=50", "--workers", "1")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    place = tmp_path_factory.mktemp("study") / "one"
    arguments = ["study", *STUDY, "--k", "1,3", "--seeds", "1", "--uncontrolled", "--out", str(place)]
    app(arguments, standalone_mode=False)
    return place


def commands(group, path=()):
    """Every command of the program with its path."""
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_writes_its_json_the_same_way():
    """By one option, checked before anything is computed."""
    callbacks = {}
    for path, command in commands(typer.main.get_command(app)):
        option = next((each for each in command.params if "--json" in each.opts), None)
        callbacks[path] = option and option.callback
    assert [path for path, found in callbacks.items() if found is None] == []
    assert len(callbacks) > 15


@pytest.mark.parametrize("command", [HEAT, ("recipe", "list"), ("data", "list"), ("paper", "list")])
def test_missing_directories_on_the_way_to_a_file_are_made(lastbit, tmp_path, command):
    """By every command: they write through one option, as the test above says."""
    target = tmp_path / "new" / "below" / "out.json"
    assert lastbit(*command, "--json", target)[0] == 0
    assert json.loads(target.read_text())


def test_json_goes_through_a_fifo_and_leaves_it(lastbit, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    said = []
    reader = threading.Thread(target=lambda: said.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    assert lastbit(*HEAT, "--json", tmp_path / "fifo")[0] == 0
    reader.join()
    assert json.loads(said[0])["max_stable_dt"] == 0.5
    assert stat.S_ISFIFO((tmp_path / "fifo").lstat().st_mode)


def test_json_follows_a_link_and_leaves_it(lastbit, tmp_path):
    (tmp_path / "out.json").symlink_to("real.json")
    assert lastbit(*HEAT, "--json", tmp_path / "out.json")[0] == 0
    assert (tmp_path / "out.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["max_stable_dt"] == 0.5


def test_json_to_standard_output_by_its_file(capfd, monkeypatch):
    """Through the descriptor itself; what is shown for people follows."""
    monkeypatch.setattr(sys, "argv", ["lastbit", *HEAT, "--json", "/dev/stdout"])
    from lastbit.cli.main import main

    with pytest.raises(SystemExit) as ended:
        main()
    out = capfd.readouterr().out
    content, end = json.JSONDecoder().raw_decode(out)
    assert ended.value.code == 0
    assert content["max_stable_dt"] == 0.5
    assert out[end:].startswith("\nlargest stable Δt: 0.5\n")


@pytest.mark.parametrize("target", ["directory", "link to directory", "circle", "file/below.json", "gone behind"])
def test_json_that_cannot_be_written_is_reported_before_anything_is_computed(lastbit, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    for link, to in (("link to directory", "directory"), ("circle", "circle"), ("gone behind", "gone/x.json")):
        (tmp_path / link).symlink_to(to)
    before = sorted(tmp_path.iterdir())
    # Of this many steps the first would not be over.
    code, out, err = lastbit("pde", "heat", "--dt", "0.8", "--steps", 10**12, "--json", target)
    assert (code, out) == (2, "")
    assert err.startswith(f"lastbit: --json {target}: cannot write there: ")
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_page_and_charts_follow_links_and_keep_permissions(lastbit, study, tmp_path):
    page, charts = tmp_path / "page.html", tmp_path / "charts"
    page.symlink_to("real.html")
    (tmp_path / "real").mkdir()
    charts.symlink_to("real")
    (tmp_path / "real.html").touch(0o600)
    code, out, _ = lastbit("report", study, "--out", page, "--charts", charts)
    assert code == 0
    drawn = [tmp_path / name for name in out.split()[1:]]
    assert page.is_symlink()
    assert charts.is_symlink()
    assert (tmp_path / "real.html").read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE((tmp_path / "real.html").stat().st_mode) == 0o600
    (tmp_path / "kept.png").write_bytes(b"old")
    drawn[0].unlink()
    drawn[0].symlink_to("../kept.png")
    assert lastbit("report", study, "--out", page, "--charts", charts)[0] == 0
    assert drawn[0].is_symlink()
    assert (tmp_path / "kept.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_goes_through_a_fifo(lastbit, study, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    said = []
    reader = threading.Thread(target=lambda: said.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    assert lastbit("report", study, "--out", tmp_path / "fifo")[0] == 0
    reader.join()
    assert b"</html>" in said[0]
    assert stat.S_ISFIFO((tmp_path / "fifo").lstat().st_mode)


def test_a_page_that_is_a_directory_is_reported(lastbit, study, tmp_path):
    code, _, err = lastbit("report", study, "--out", tmp_path)
    assert (code, err) == (2, f"lastbit: --out {tmp_path}: cannot write there: Is a directory\n")


def test_a_studys_own_page_may_be_a_link(lastbit, study, tmp_path):
    before = read_checksummed(study / "results.json")
    (study / "report.html").rename(tmp_path / "elsewhere.html")
    (study / "report.html").symlink_to(tmp_path / "elsewhere.html")
    assert lastbit("report", study)[0] == 0
    assert (study / "report.html").is_symlink()
    assert read_checksummed(study / "results.json") == before
