"""A directory is taken again where nothing has finished in it; else it is said what differs."""

from datetime import datetime

import pytest
import toy_training

import lastbit as lb
from lastbit.differing import changes
from lastbit.storage.checkpoint import DIRECTORY as CHECKPOINT
from lastbit.storage.locks import trial_lock
from lastbit.study import TrialFailedError
from lastbit.study.check import check_study
from lastbit.study.directory import OtherStudyError

SETTINGS = {"name": "toy", "optimizer": {"lr": 0.1, "momentum": 0.9}, "layers": [1, 2]}


def make(tmp_path, train=toy_training.train, **settings):
    return lb.Study(
        tmp_path / "a study", train, noises=[lb.Scale(1)], seeds=(1,), controlled=False, settings=SETTINGS | settings
    )


def fails(run):
    raise RuntimeError("no data")


def stops_half_way(run):
    run.save_checkpoint(3, {})
    if (run.directory / CHECKPOINT).exists():  # else this is the bit fingerprint's beginning of a run
        raise KeyboardInterrupt


def test_where_all_failed_another_training_starts_over_and_leaves_a_sound_study(tmp_path):
    with pytest.raises(TrialFailedError):
        make(tmp_path, fails).run()
    assert list((tmp_path / "a study" / "failed").iterdir())
    study = make(tmp_path, name="mended")
    study.run()
    assert study.store.description()["settings"]["name"] == "mended"
    assert not (tmp_path / "a study" / "failed").exists()
    assert check_study(study.store.root).is_sound


def test_where_a_run_is_stored_what_differs_is_reported_and_since_when(tmp_path):
    make(tmp_path).run()
    done = next((tmp_path / "a study" / "trials").glob("*/done.json"))
    day = f"{datetime.fromtimestamp(done.stat().st_mtime):%Y-%m-%d %H:%M}"
    with pytest.raises(OtherStudyError) as caught:
        make(tmp_path, optimizer={"lr": 0.2, "momentum": 0.9}, layers=[1, 3], extra=True).run()
    place = tmp_path / "a study"
    assert str(caught.value) == (
        f"{place} holds another study (toy, with other settings): layers [1, 2] -> [1, 3], optimizer.lr 0.1 -> 0.2, "
        f"extra None -> True (of which the first run ended on {day}). Old and new runs cannot be compared: choose "
        f"another directory (--out '{place}-2'), or give those up (rm -r '{place}')"
    )


def test_a_run_that_can_be_gone_on_with_is_not_given_up(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, stops_half_way).run()
    with pytest.raises(OtherStudyError, match=r"name toy -> other \(of which a run is under way\)"):
        make(tmp_path, name="other").run()


def test_nor_is_one_that_an_orphan_is_still_at(tmp_path):
    with pytest.raises(TrialFailedError):
        make(tmp_path, fails).run()
    running = tmp_path / "a study" / "running"
    running.mkdir(exist_ok=True)
    with trial_lock(running / "0123456789abcdef.lock"), pytest.raises(OtherStudyError, match="is under way"):
        make(tmp_path, name="other").run()


def test_changes_are_named_by_their_place_and_hashes_are_cut_short():
    before = {"a": {"b": {"c": 1, "d": 2}}, "script": "0" * 64, "gone": "", "same": [1], "text": "x" * 100}
    after = {"a": {"b": {"c": 1, "d": None}}, "script": "f" * 64, "new": "x y", "same": [1], "text": "y" * 100}
    assert changes(before, after) == {
        "a.b.d": "2 -> None",
        "script": "00000000… -> ffffffff…",
        "gone": "'' -> None",
        "text": f"{'x' * 30} … {'x' * 30} -> {'y' * 30} … {'y' * 30}",
        "new": "None -> x y",
    }
