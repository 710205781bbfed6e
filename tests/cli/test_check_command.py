import json
import os
import shutil

import pytest

from lastbit.cli.commands import app
from lastbit.storage.files import read_checksummed
from lastbit.storage.locks import directory_lock

TINY = ("demo", "--scale", "smoke", "--set", "data.train=256", "--set", "data.test=100", "--workers", "1")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    place = tmp_path_factory.mktemp("studies")
    app(["study", *TINY, "--k", "1,3", "--seeds", "1", "--out", str(place / "one")], standalone_mode=False)
    return place


def table_trial(study):
    """The id of a trial that the results speak of."""
    return read_checksummed(study / "results.json")["trials"][-1]["id"]


def test_a_study_that_another_run_is_at_is_refused(lastbit, studies):
    with directory_lock(studies / "one"):
        code, _, err = lastbit("study", *TINY, "--k", "1,3,5,7", "--seeds", "1", "--out", studies / "one")
    assert code == 2
    assert f"{studies / 'one'} is in use by another run (" in err
    assert f", process {os.getpid()} on " in err
    assert "wait for it, stop it, or choose another directory" in err


def test_wrong_input(lastbit, tmp_path):
    code, _, err = lastbit("check", tmp_path / "nowhere")
    assert (code, err) == (2, f"lastbit: there is no directory {tmp_path / 'nowhere'}\n")
    code, _, err = lastbit("check", tmp_path)
    assert (code, err) == (2, f"lastbit: {tmp_path} is no study: it has no study.json\n")


def test_a_study_without_trials_is_not_praised(lastbit, studies, tmp_path):
    shutil.copytree(studies / "one", tmp_path / "empty")
    for trial in (tmp_path / "empty" / "trials").iterdir():
        shutil.rmtree(trial)
    code, out, _ = lastbit("check", tmp_path / "empty")
    first, *notes = out.splitlines()
    assert (code, first) == (0, f"{tmp_path / 'empty'}: no trial is stored yet, and nothing is damaged")
    assert notes[0] == "  note: trials: 4 trials are not stored; the study's command runs what is missing"


def test_a_sound_study_and_a_damaged_one(lastbit, studies):
    code, out, err = lastbit("check", studies / "one")
    assert (code, err) == (0, "")
    assert out.startswith(f"{studies / 'one'}: sound (4 trials, ")
    victim = studies / "one" / "trials" / table_trial(studies / "one") / "metrics.jsonl"
    victim.write_bytes(victim.read_bytes()[:-5])
    code, out, err = lastbit("check", studies, "--json", "-")
    assert (code, err) == (1, f"lastbit: not sound: {studies / 'one'}\n")
    (found,) = json.loads(out)
    assert not found["sound"]
    assert [each["path"] for each in found["findings"]] == [victim.relative_to(studies / "one").as_posix()]


def test_a_study_goes_on_over_damage_only_to_say_so(lastbit, studies):
    """It follows the test that damages a trial's metrics."""
    code, _, err = lastbit("study", *TINY, "--k", "1,3", "--seeds", "1-2", "--out", studies / "one")
    assert code == 2
    assert "metrics.jsonl does not match its checksum" in err
    assert "lastbit check" in err


def test_a_study_at_a_url(lastbit, studies):
    """Findings speak of the place that was given, not of the copy."""
    code, out, err = lastbit("check", f"file://{studies / 'one'}")
    assert code == 1
    assert out.startswith(f"file://{studies / 'one'}: NOT sound")
    assert f"delete file://{studies / 'one'}/trials/" in out
    assert err == f"lastbit: not sound: file://{studies / 'one'}\n"
