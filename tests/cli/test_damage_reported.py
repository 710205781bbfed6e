"""Every file of a small study is damaged in turn, and every command that reads studies says so, in one line."""

import random
import shutil

import pytest
from tests.faults import damage

from lastbit.cli.commands import app
from lastbit.explore.study_view import read
from lastbit.storage.files import read_checksummed
from lastbit.study.comparison import compare as compare_runs

CHANGES = ("data.train=128", "data.test=50")
STUDY = ("study", "demo", "--scale", "smoke", *(word for one in CHANGES for word in ("--set", one)))
STUDY = (*STUDY, "--k", "1,3", "--seeds", "1-2", "--workers", "1", "--out")
KINDS = ("removed", "truncated", "one bit flipped")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    place = tmp_path_factory.mktemp("damaged") / "study"
    app([*STUDY, str(place)], standalone_mode=False)
    shutil.copytree(place, place.with_name("sound"))
    return place


@pytest.fixture(autouse=True)
def put_right(study):
    yield
    shutil.rmtree(study)
    shutil.copytree(study.with_name("sound"), study)


def stored(study):
    """Names of all files, but of each trial's weights only the first and the last."""
    files = [path for path in study.rglob("*") if path.is_file() and not path.name.startswith(".")]
    names = {path.relative_to(study).as_posix() for path in files}
    for trial in {name.rpartition("/weights/")[0] for name in names if "/weights/" in name}:
        weights = sorted(name for name in names if name.startswith(f"{trial}/weights/"))
        names -= set(weights[1:-1])
    return sorted(names)


def said(lastbit, path, command):
    """That a command ends with one line about a file, and what to do."""
    code, out, err = lastbit(*command)
    assert (code, out) == (2, ""), (command, path, out, err)
    assert err.startswith(f"lastbit: {path}"), (command, path, err)
    assert err.count("\n") == 1
    assert "the study's command again" in err or "the study again" in err, err


def test_whatever_is_damaged_is_reported_by_whatever_reads_it(lastbit, study, tmp_path):
    chance, sound = random.Random(1), study.with_name("sound")
    results = read_checksummed(sound / "results.json")
    names = stored(study)
    assert {"study.json", "results.json", "report.html"} <= set(names)
    assert len({name.split("/")[1] for name in names if name.startswith("trials/")}) == 6, "four, k=1 again and k=2"
    for number, name in enumerate(names):
        kind = KINDS[number % 3]
        damage.damage(study / name, kind, chance)
        read_by_all(lastbit, study, name, tmp_path)
        shutil.copyfile(sound / name, study / name)
    assert read_checksummed(study / "results.json") == results
    assert lastbit("check", study)[0] == 0


def read_by_all(lastbit, study, name, tmp_path):
    path, sound = study / name, study.with_name("sound")
    report = ("report", study, "--out", tmp_path / "page.html")
    compare = ("compare", study, sound, "--out", tmp_path / "compare")
    if name == "report.html":  # a drawing
        assert lastbit("check", study)[0] == lastbit(*report)[0] == 0
        return
    code, out, err = lastbit("check", study)
    # Without results, a study may be on its way; what to do is said all the same.
    assert name in out, (name, out, err)
    assert code == (0 if not path.exists() and name == "results.json" else 1)
    if name == "results.json":
        if path.exists():
            said(lastbit, path, report)
            assert read(str(study)).complaint.startswith(str(path))
        code, out, err = lastbit(*STUDY, study)
        assert (code, err) == (0, "")
        assert read_checksummed(path) == read_checksummed(sound / name), "computed again"
        return
    said(lastbit, path, report)
    assert read(str(study)).complaint.startswith(str(path))
    if name != "study.json" or path.exists():  # which the study's command writes again
        said(lastbit, path, (*STUDY, study))
    if "/weights/" in name:
        assert compare_runs(study, [7.0, 8.0, 9.0]).a.name == "demo", "no number of a comparison rests on weights"
    else:
        said(lastbit, path, compare)


def test_what_is_to_be_done_mends_it(lastbit, study):
    """A study without its study.json, and one without a trial, go on with the study's command and end the same."""
    results = (study / "results.json").read_bytes()
    (study / "study.json").unlink()
    assert lastbit(*STUDY, study)[::2] == (0, "")
    assert lastbit("check", study)[::2] == (0, "")
    trial = sorted((study / "trials").iterdir())[0]
    (trial / "done.json").unlink()
    code, _, err = lastbit(*STUDY, study)
    assert code == 2
    assert f"delete {trial}, then give the study's command again" in err
    shutil.rmtree(trial)
    assert lastbit(*STUDY, study)[0] == 0
    assert (study / "results.json").read_bytes() == results
    assert lastbit("check", study)[0] == 0


def test_a_study_without_its_description_is_not_taken_by_another(lastbit, study):
    (study / "study.json").unlink()
    code, _, err = lastbit(*STUDY, study, "--set", "optimizer.lr=0.01")
    assert code == 2
    assert "it is a trial of another study" in err
    assert not (study / "study.json").exists()


def test_two_trials_that_changed_places_are_noticed(lastbit, study, tmp_path):
    """Every checksum is right, and yet the numbers would be wrong."""
    one, other = sorted((study / "trials").iterdir())[:2]
    one.rename(tmp_path / "kept")
    other.rename(one)
    (tmp_path / "kept").rename(other)
    for command in (("report", study), ("compare", study, study.with_name("sound")), (*STUDY, study)):
        code, _, err = lastbit(*command)
        assert code == 2
        assert err.startswith(f"lastbit: {one}: its name is not the id of the trial in it; move it out of the study")
        assert "names 1 more" in err
