import importlib
import json
import shutil

import pytest
from tests.study.toy_training import train

import lastbit as lb
from lastbit.divergence import rel_l1
from lastbit.explore import study_view
from lastbit.storage.directories import RESULTS
from lastbit.storage.files import write_checksummed


@pytest.fixture
def page():
    """Imported late, with marimo: transformers takes a process in which that is for a notebook."""
    return importlib.import_module("lastbit.explore.page")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    directory = tmp_path_factory.mktemp("studies") / "toy"
    study = lb.Study(directory, train, noises=[lb.Scale(k) for k in (1, 3)], seeds=(1, 2))
    study.run()
    return directory


def test_a_directory_is_read_with_its_trials_and_charts(toy, page):
    reading = study_view.read(f"  {toy} ")
    assert reading.complaint == ""
    assert reading.trials == ["seed 1, k=1", "seed 1, k=3", "seed 2, k=1", "seed 2, k=3"]
    drawn = study_view.study_figures(reading.study)
    assert [figure.name for figure in drawn] == ["rel-l1", "accuracy"]
    assert all(figure.is_drawn for figure in drawn)
    assert "Last-bit noise" in page.study_charts(reading).text


def test_two_trials_are_held_against_each_other(toy):
    study = study_view.load_study(str(toy))
    pair = study_view.compare_trials(study, "seed 1, k=1", "seed 2, k=3")
    first, second = study.trials["seed 1, k=1"], study.trials["seed 2, k=3"]
    assert pair.values["test_accuracy"] == (first.final("test_accuracy"), second.final("test_accuracy"))
    assert pair.distance == [(step, rel_l1(first.weights(step), second.weights(step)).value) for step in (4, 8, 12)]
    assert pair.churn == pytest.approx(100 * float((first.predictions() != second.predictions()).double().mean()))
    assert not pair.identical
    drawn = study_view.pair_figure(pair)
    assert drawn.title.endswith("after step 12")
    assert [row["x"] for row in drawn.rows] == [[4, 8, 12]]


def test_a_trial_against_itself_is_the_same_bit_for_bit(toy):
    study = study_view.load_study(str(toy))
    pair = study_view.compare_trials(study, "seed 1, k=1", "seed 1, k=1")
    assert pair.identical
    assert study_view.pair_figure(pair).title == "Both trials are bit for bit the same"


def test_results_that_are_stored_are_read_and_not_computed_again(toy, tmp_path, monkeypatch):
    copy = tmp_path / "toy"
    shutil.copytree(toy, copy)
    results = study_view.load_study(str(copy)).results
    write_checksummed(copy / RESULTS, {**results, "verdict": "As it was stored."})
    monkeypatch.setattr(lb.Study, "results", lambda study: pytest.fail("computed again"))
    assert study_view.load_study(str(copy)).results["verdict"] == "As it was stored."


def test_results_of_an_older_format_are_computed_again(toy, tmp_path):
    copy = tmp_path / "toy"
    shutil.copytree(toy, copy)
    results = study_view.load_study(str(copy)).results
    write_checksummed(copy / RESULTS, {**results, "format": 2, "verdict": "As it was stored."})
    assert study_view.load_study(str(copy)).results == results


def test_what_is_no_study_is_reported_in_one_line(tmp_path, toy):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no directory")
    altered = tmp_path / "altered"
    altered.mkdir()
    (altered / "study.json").write_text(json.dumps({"name": 3}))
    for place in ("empty", "file", "altered", "absent", "\x00"):
        reading = study_view.read(str(tmp_path / place))
        assert reading.study is None
        assert reading.complaint
        assert "\n" not in reading.complaint
        assert reading.trials == []
    assert study_view.read("  ") == study_view.Reading(None)


def test_a_folder_lists_its_studies(tmp_path, toy):
    shutil.copytree(toy, tmp_path / "b" / "deep" / "er")
    shutil.copytree(toy, tmp_path / "a")
    shutil.copytree(toy, tmp_path / "b" / "too" / "deep" / "by one" / "level")
    (tmp_path / "circle").symlink_to(tmp_path)
    assert study_view.studies_in(f" {tmp_path} ") == ["a", "b/deep/er"]
    assert study_view.studies_in(str(tmp_path / "a")) == []  # it is a study itself
    assert study_view.studies_in(" ") == study_view.studies_in("\0") == study_view.studies_in("absent") == []


def test_damaged_weights_are_reported_and_not_drawn(tmp_path, page):
    directory = tmp_path / "damaged"
    study = lb.Study(directory, train, noises=[lb.Scale(k) for k in (1, 3)], seeds=(1,))
    study.run()
    reading = study_view.read(str(directory))
    weights = sorted(directory.rglob("*.safetensors"))
    for path in weights:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    said = page.trials_compared(reading, *reading.trials[:2]).text
    assert "does not match its checksum" in said
    assert "role" in said
