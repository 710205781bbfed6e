"""No command writes into a directory in which another keeps something; it says in one line what is there."""

import json
import shutil

import pytest

from lastbit.cli.commands import app
from lastbit.storage.directories import Kind, check_free, held_in_words

TINY = ("demo", "--scale", "smoke", "--set", "data.train=128", "--set", "data.test=50")
# Enough of what each kind leaves for another command to know it by.
LEFT = {
    Kind.STUDY: {"study.json": "{}", "trials/0123/done.json": "{}"},
    Kind.STUDIES: {"one/study.json": "{}", "two/study.json": "{}"},
    Kind.GROWTH: {"growth.json": "{}", "growth.html": ""},
    Kind.COMPARISON: {"compare.json": "{}", "compare.html": ""},
    Kind.SHARPNESS: {"series.json": "{}", "rows.jsonl": ""},
    Kind.PAPER: {"index.json": '{"scale": "smoke", "items": []}', "figure1.json": "{}"},
    Kind.AUDIT: {"audit.json": "{}"},
    Kind.PHASE: {"phase.png": "", "phase.svg": ""},
}
# Every command that writes into a directory, and what it keeps there.
COMMANDS = {
    "study": (Kind.STUDY, lambda place: ("study", *TINY, "--workers", "1", "--out", place)),
    "run": (Kind.STUDY, lambda place: ("run", "--out", place, "--", "train.py")),
    "demo": (Kind.STUDIES, lambda place: ("demo", "--scale", "smoke", "--workers", "1", "--out", place)),
    "remedy": (Kind.STUDIES, lambda place: ("remedy", *TINY, "--workers", "1", "--out", place)),
    "growth": (Kind.GROWTH, lambda place: ("growth", *TINY, "--steps", "1", "--out", place)),
    "compare": (Kind.COMPARISON, lambda place: ("compare", "a", "b", "--out", place)),
    "sharpness": (Kind.SHARPNESS, lambda place: ("sharpness", *TINY, "--steps", "1", "--out", place)),
    "paper run": (Kind.PAPER, lambda place: ("paper", "run", "fig1", "--scale", "smoke", "--out", place)),
    "paper run --work": (
        Kind.STUDIES,
        lambda place: ("paper", "run", "fig1", "--scale", "smoke", "--out", place.parent / "new", "--work", place),
    ),
    "audit": (Kind.AUDIT, lambda place: ("audit", "--out", place, "--", "train.py")),
    "pde phase": (
        Kind.PHASE,
        lambda place: ("pde", "phase", "--lr", "0:1:1", "--weight-decay", "0:1:1", "--steps", 1, "--out", place),
    ),
    "report --charts": (Kind.CHARTS, lambda place: ("report", place.parent / "reported", "--charts", place)),
    "data fetch": (Kind.DATA, lambda place: ("data", "fetch", "cifar10", "--root", place)),
}


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("import torch\n")


def leave(place, kind):
    for name, content in LEFT[kind].items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)


def contents(place):
    return {path: path.read_bytes() if path.is_file() else None for path in place.rglob("*")}


def refused(lastbit, command, place, tmp_path):
    """The one line that a command says; nothing was touched."""
    before = contents(tmp_path)
    code, out, err = lastbit(*COMMANDS[command][1](place))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert contents(tmp_path) == before
    return err


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_into_what_another_keeps(lastbit, tmp_path, command):
    own = COMMANDS[command][0]
    for kind in LEFT:
        if kind is own or {kind, own} == {Kind.PHASE, Kind.CHARTS}:
            continue
        place = tmp_path / kind.name.lower()
        leave(place, kind)
        said = refused(lastbit, command, place, tmp_path)
        assert said.startswith(f"lastbit: {place} holds {kind} ("), (command, kind, said)
        assert "choose another directory" in said


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_inside_a_study(lastbit, tmp_path, command):
    leave(tmp_path / "study", Kind.STUDY)
    said = refused(lastbit, command, tmp_path / "study" / "deep" / "below", tmp_path)
    assert f"lies in a study, {tmp_path / 'study'}, and cannot take" in said


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_is_no_directory(lastbit, tmp_path, command):
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} is a file" in refused(lastbit, command, tmp_path / "file", tmp_path)


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("command", ["study", "run", "sharpness", "paper run", "audit"])
def test_what_is_resumed_or_checked_lies_alone(lastbit, tmp_path, command):
    """Other people's files do not matter elsewhere."""
    (tmp_path / "place").mkdir()
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (tmp_path / "place" / name).touch()
    said = refused(lastbit, command, tmp_path / "place", tmp_path)
    assert "holds other files (a.txt, b.txt, c.txt and 1 more) and no " in said


def test_a_file_of_a_common_name_is_not_taken_for_the_papers(tmp_path):
    (tmp_path / "index.json").write_text("[]")
    (tmp_path / "fig.png").touch()
    assert held_in_words(tmp_path) == ""
    check_free(tmp_path, Kind.GROWTH)
    (tmp_path / "index.json").write_text("{")
    check_free(tmp_path, Kind.CHARTS)


def test_charts_are_at_home_in_what_is_drawn_and_check_names_them(lastbit, tmp_path):
    """As in the README: `lastbit report runs/demo --charts runs/demo/charts`."""
    study, page = tmp_path / "study", tmp_path / "study" / "pages" / "mine.html"
    arguments = ["study", *TINY, "--workers", "1", "--k", "1,3", "--seeds", "1", "--uncontrolled", "--out", str(study)]
    app(arguments, standalone_mode=False)
    assert lastbit("report", study, "--charts", study / "charts", "--out", page)[0] == 0
    assert lastbit("report", study, "--charts", study)[0] == 0
    code, out, err = lastbit("check", study, "--json", "-")
    (found,) = json.loads(out)
    assert (code, err, found["findings"]) == (0, "", [])
    drawn = {"charts", "pages", "report.html", "demo-rel-l1.png", "demo-rel-l1.svg"}
    assert drawn <= set(found["drawings"])
    code, out, _ = lastbit("check", study)
    assert code == 0
    assert "drawn from the results, without checksums: charts, " in out
    # What no command draws is foreign still: a picture alone, and a file among the charts.
    (study / "photo.png").touch()
    (study / "charts" / "notes.txt").touch()
    code, out, _ = lastbit("check", study, "--json", "-")
    assert code == 1
    assert [each["path"] for each in json.loads(out)[0]["findings"]] == ["charts/notes.txt", "photo.png"]
    (study / "photo.png").unlink()
    shutil.rmtree(study / "charts")
    # Among the trials, or in another study, charts are no more at home than anything else.
    for place in (study / "trials", study / "trials" / "charts"):
        code, _, err = lastbit("report", study, "--charts", place)
        assert code == 2
        assert f"{place} " in err
    assert lastbit("check", study)[0] == 0


def test_check_says_what_a_directory_holds_that_is_no_study(lastbit, tmp_path):
    leave(tmp_path, Kind.GROWTH)
    code, _, err = lastbit("check", tmp_path)
    assert (code, err) == (2, f"lastbit: {tmp_path} is no study: it holds results of growth (growth.json)\n")
