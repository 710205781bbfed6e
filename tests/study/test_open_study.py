"""A stored study is opened without its training, one of an earlier version too, and shows itself in a notebook."""

import sys
import zipfile
from pathlib import Path

import pytest
import toy_training
from test_study import contents, make

import lastbit as lb
from lastbit.report.study.stored import as_stored
from lastbit.storage.files import read_checksummed
from lastbit.study.check import check_study

EARLIER = Path(__file__).with_name("study_format_2.zip")  # stored before there were run directories


@pytest.fixture
def earlier(tmp_path):
    with zipfile.ZipFile(EARLIER) as stored:
        stored.extractall(tmp_path / "earlier")
    return tmp_path / "earlier"


def test_a_study_of_an_earlier_version_is_sound_and_says_what_it_said(earlier):
    assert check_study(earlier).is_sound
    study = lb.open_study(earlier)
    assert (study.name, study.pending(), len(study.stored())) == ("toy", [], 6)
    then, now = as_stored([read_checksummed(earlier / "results.json"), study.results().as_json()])
    for key in ("trials", "noises", "seeds", "controls", "rel_l1", "churn", "numerics", "fingerprints"):
        assert now[key] == then[key], key
    assert now["numerics"] == [{"bit_fingerprint": study.bit_fingerprints()[1], "seeds": [1, 2]}]
    assert study.results().controls.passed


def test_a_study_of_an_earlier_version_is_continued(earlier):
    before = contents(earlier)
    options = {"noises": [lb.Scale(k) for k in (1, 3)], "settings": {"name": "toy", "version": 1}}
    results = make(earlier, seeds=(1, 2, 3), **options).run()
    assert results.controls.passed
    after = contents(earlier)
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)
    with pytest.raises(lb.LastbitError, match="holds another study"):
        make(earlier, seeds=(1, 2, 3), noises=options["noises"], settings={"name": "toy", "version": 2}).run()


def test_an_opened_study_has_table_results_and_page_and_cannot_run(tmp_path):
    ran = make(tmp_path / "study")
    results = ran.run()
    study = lb.open_study(str(tmp_path / "study"))
    assert study.results().as_json() == results.as_json()
    assert study.table().equals(ran.table())
    assert not hasattr(study, "run")


def test_what_is_no_study_is_refused_with_those_that_are(tmp_path):
    def said(path, call=lb.open_study):
        with pytest.raises(lb.LastbitError) as refused:
            call(path)
        return str(refused.value)

    runs = tmp_path / "runs"
    (runs / "other").mkdir(parents=True)
    assert said(runs) == f"{runs} is no study: it has no study.json"
    for name in ("demo", "demo-swish"):
        make(runs / name, seeds=(1,)).run()
    one = f"it holds the studies demo, demo-swish; give one, such as {runs / 'demo'}"
    for call in (lb.open_study, lambda path: lb.compare(path, runs / "demo"), check_study):
        assert said(runs, call) == f"{runs} is no study: {one}"
    missing = f"there is no directory {runs / 'dmeo'}; nearest is {runs / 'demo'}"
    assert said(runs / "dmeo") == said(runs / "dmeo", lambda path: lb.compare(path, runs / "demo")) == missing
    assert said(runs / "unlike") == f"there is no directory {runs / 'unlike'}"
    assert said(tmp_path / "gone" / "demo") == f"there is no directory {tmp_path / 'gone' / 'demo'}"


def test_a_study_says_what_is_stored_and_shows_verdict_and_table_when_it_is_complete(tmp_path):
    study = make(tmp_path, name="<toy> & more")
    line = f"Study <toy> & more in {tmp_path}: 3 noise(s), 2 seed(s)"
    assert repr(study) == f"<{line}, 0 trial(s) stored, 8 pending>"
    assert study._repr_html_() == f"<p>{line}, 0 trial(s) stored, 8 pending</p>".replace(
        "<toy> & more", "&lt;toy&gt; &amp; more"
    )
    results = study.run()
    assert repr(lb.open_study(tmp_path)) == f"<{line}, 8 trial(s) stored, 0 pending>"
    shown = lb.open_study(tmp_path)._repr_html_()
    assert results.verdict.replace("<", "&lt;").replace("'", "&#x27;") in shown
    assert "<table" in shown
    assert "seed 2" in shown
    assert "<toy>" not in shown


def test_workers_are_processes_here_in_place_of_an_executor(tmp_path):
    alone, several = make(tmp_path / "alone"), make(tmp_path / "several")
    several.run(workers=2)
    alone.run()
    assert contents(tmp_path / "several") == contents(tmp_path / "alone")
    with pytest.raises(lb.LastbitError, match="workers = 0: at least 1 is needed"):
        make(tmp_path / "none").run(workers=0)
    with lb.local_pool(1) as pool, pytest.raises(lb.LastbitError, match="workers = 2 and an executor: give one"):
        make(tmp_path / "both").run(pool, workers=2)


def test_workers_for_a_function_that_is_in_no_file_are_refused_in_a_line(tmp_path, warm_python):
    program = (
        "import lastbit as lb\ndef train(run): run.log(1, test_accuracy=50.0)\n"
        f"lb.Study({str(tmp_path / 'study')!r}, train, noises=[lb.Scale(1)], seeds=[1]).run(workers=1)"
    )
    ended = warm_python.run([sys.executable, "-c", program])
    assert "workers = 1: other processes cannot import a function of a notebook or a console" in ended.stderr
    assert not (tmp_path / "study").exists()


def test_failed_controls_are_seen_in_an_opened_study(tmp_path):
    with pytest.raises(lb.study.ControlsFailedError):
        make(tmp_path, toy_training.train_unseeded).run()
    assert "the same run twice gave different bits" in lb.open_study(tmp_path).controls().complaint
