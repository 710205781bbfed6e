"""Nothing stored is lost, used damaged, or written by two at once."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest
import torch
import toy_training
from hypothesis import given
from hypothesis import strategies as st
from test_study import contents, make

import lastbit as lb
from lastbit.storage.files import DamagedError, read_checksummed, write_checksummed
from lastbit.storage.locks import InUseError, is_held
from lastbit.study import Trial
from lastbit.study.store import Store
from lastbit.study.training import run_trial

TRIAL = Trial({"name": "toy"}, 1, lb.Scale(3))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    study = make(tmp_path_factory.mktemp("sound"))
    study.run()
    return study.store.root


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key != "checksum"), JSON), st.sampled_from([None, 1]))
def test_a_checksummed_file_gives_back_what_was_written(tmp_path_factory, content, indent):
    path = tmp_path_factory.mktemp("checksummed") / "file.json"
    if any(0xD800 <= ord(letter) < 0xE000 for letter in json.dumps(content, ensure_ascii=False)):
        return  # no text: half a character, which UTF-8 cannot say
    write_checksummed(path, content, indent=indent)
    assert read_checksummed(path) == content


@given(st.data())
def test_one_flipped_bit_anywhere_breaks_the_checksum(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("checksummed") / "file.json"
    write_checksummed(path, {"value": 0.1, "text": "a b", "list": [1, 2]})
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, 8 * len(content) - 1))
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=str(path)):
        read_checksummed(path)


def test_a_second_run_of_a_study_is_refused_and_told_who_is_at_it(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    with first.store.claimed(first.description()):
        before = (tmp_path / "study.json").read_bytes()
        with pytest.raises(InUseError, match=rf"in use by another run \(.*process {os.getpid()} on .*, since 20"):
            second.run()
        assert (tmp_path / "study.json").read_bytes() == before
    second.run()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "results.json", "study.json", "trials"]


def test_what_has_claimed_a_study_may_claim_it_again_and_others_still_wait(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    with first.store.claimed(first.description()):
        assert first.run().controls.passed
        with pytest.raises(InUseError):
            second.run()
    second.run()


def test_a_killed_run_lets_go(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from lastbit.storage.locks import directory_lock\n"
        f"with directory_lock(Path({str(tmp_path)!r})): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(InUseError, match=f"process {process.pid}"):
        make(tmp_path / ".." / tmp_path.name).run()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    shutil.rmtree(tmp_path / ".owner.json", ignore_errors=True)
    (tmp_path / ".owner.json").unlink(missing_ok=True)
    assert make(tmp_path).run().controls.passed


def test_a_trial_waits_for_an_orphan_at_it_and_is_not_run_twice(tmp_path):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    ran = []
    with ExitStack() as orphan:
        assert orphan.enter_context(store.attempt(TRIAL))
        late = threading.Thread(target=lambda: run_trial(ran.append, TRIAL, tmp_path, "cpu"))
        late.start()
        time.sleep(0.3)
        assert ran == []
        store.finish(TRIAL, store.begin(TRIAL, {}))
    late.join(10)
    assert ran == []
    assert store.has(TRIAL)


def test_a_trial_killed_between_its_last_byte_and_its_place_is_stored_and_not_run_again(tmp_path):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    with store.attempt(TRIAL):
        recorder = store.begin(TRIAL, {})
        recorder.snapshot(1, {"w": torch.ones(2)})
        store.finish(TRIAL, recorder)
    (tmp_path / "trials" / TRIAL.id).rename(tmp_path / "running" / TRIAL.id)
    assert run_trial(pytest.fail, TRIAL, tmp_path, "cpu").error is None
    assert store.load(TRIAL).weight_steps() == [1]


def test_orphans_keep_what_they_write_when_another_run_clears_up(tmp_path):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    with store.attempt(TRIAL):
        recorder = store.begin(TRIAL, {})
        store.clear_running()
        store.finish(TRIAL, recorder)
    assert store.has(TRIAL)
    store.clear_running()
    assert not (tmp_path / "running").exists()


def test_what_an_interrupted_trial_left_is_removed_only_while_its_lock_is_held(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    with store.attempt(TRIAL):
        store.begin(TRIAL, {})
    lock = tmp_path / "running" / f"{TRIAL.id}.lock"
    removed = []

    def watched(remove):
        def watching(path, *args, **options):
            if path.name.startswith(TRIAL.id):
                removed.append((path.name, is_held(lock)))
            remove(path, *args, **options)

        return watching

    monkeypatch.setattr(shutil, "rmtree", watched(shutil.rmtree))
    monkeypatch.setattr(type(lock), "unlink", watched(type(lock).unlink))
    store.clear_running()
    assert removed == [(TRIAL.id, True), (lock.name, True)]
    assert not lock.exists()


def damage(path, how, place):
    content = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[:-3])
    else:
        content[place % len(content)] ^= 1 << place % 8
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["removed", "cut", "flipped"])
@pytest.mark.parametrize("pattern", ["metrics.jsonl", "weights/*", "predictions.safetensors", "done.json"])
def test_results_are_never_computed_from_damaged_files(sound, tmp_path, how, pattern):
    place = tmp_path / "study"
    shutil.copytree(sound, place)
    study = make(place)
    file = next(study.store.load(study.trials()[2]).directory.glob(pattern))
    damage(file, how, 77)
    if how == "removed" and pattern == "done.json":
        assert study.pending() == [study.trials()[2]], "it is not finished then, and runs again"
        return
    with pytest.raises(DamagedError, match=str(file)):
        study.results().as_json()


def test_a_study_with_a_damaged_description_is_refused(sound, tmp_path):
    place = tmp_path / "study"
    shutil.copytree(sound, place)
    damage(place / "study.json", "flipped", 100)
    with pytest.raises(DamagedError, match=r"study\.json"):
        make(place).run()
    (place / "study.json").unlink()
    before = contents(place)
    make(place).run()
    assert contents(place) == before


def test_a_directory_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot write there: Not a directory"):
        make(tmp_path / "file" / "study").run()


def test_a_trial_is_not_continued_with_other_numerics(tmp_path):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    with store.attempt(TRIAL):
        store.begin(TRIAL, {"torch": "1"}).save_checkpoint(3, {"w": torch.ones(2)})
    with store.attempt(TRIAL):
        assert store.begin(TRIAL, {"torch": "1"}).load_checkpoint().step == 3
        assert store.begin(TRIAL, {"torch": "2"}).load_checkpoint() is None


def test_weights_come_in_one_order(sound):
    trial = make(sound).store.load(make(sound).trials()[0])
    assert {tuple(trial.weights(4)) for _ in range(20)} == {("first", "last")}


def test_a_full_disk_ends_the_study_with_what_is_the_matter(tmp_path, monkeypatch):
    def full(run):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(toy_training, "train", full)
    with pytest.raises(lb.study.TrialFailedError, match=r"1 trial\(s\) failed.*cannot write there: No space left"):
        make(tmp_path, toy_training.train).run()
    assert not (tmp_path / "failed").exists(), "no trial is to blame"


def test_a_trial_that_lost_its_done_json_is_run_again(tmp_path):
    study = make(tmp_path)
    results = study.run().as_json()
    (study.store.root / "trials" / study.trials()[0].id / "done.json").unlink()
    assert study.pending() == [study.trials()[0]]
    assert study.run().as_json() == results
