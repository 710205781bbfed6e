"""`check_study` names what is wrong with a stored study, and nothing else."""

import random
import shutil

import pytest
from test_study import make

from lastbit.storage.files import write_checksummed
from lastbit.study.check import check_study
from lastbit.study.findings import Severity


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    study = make(tmp_path_factory.mktemp("sound"))
    write_checksummed(study.store.root / "results.json", study.run().as_json())
    return study.store.root


@pytest.fixture
def copy(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "study")
    return tmp_path / "study"


def found(copy):
    return {(str(each.kind), each.path.as_posix()) for each in check_study(copy).findings}


def test_a_sound_study_has_nothing_to_say(sound):
    checked = check_study(sound)
    assert checked.findings == ()
    assert checked.is_sound
    assert checked.trials == len(list((sound / "trials").iterdir())) == 8
    assert checked.files == len([path for path in (sound / "trials").rglob("*") if path.is_file()])


def test_a_check_leaves_no_trace_in_a_study_that_was_interrupted(copy):
    trial = next((copy / "trials").iterdir())
    (copy / "running").mkdir()
    trial.rename(copy / "running" / trial.name)
    before = sorted(copy.rglob("*"))
    assert ("note", f"running/{trial.name}") in found(copy)
    assert sorted(copy.rglob("*")) == before


def test_every_damage_to_any_file_is_named(sound, tmp_path):
    """Also the script `tests/faults/damage.py`, which counts more of them."""
    chance = random.Random(1)
    files = sorted(path.relative_to(sound) for path in sound.rglob("*") if path.is_file() and path.name != ".lock")
    for number in range(50):
        name, how = chance.choice(files), chance.choice(["removed", "cut", "flipped"])
        copy = tmp_path / str(number)
        shutil.copytree(sound, copy)
        damage(copy / name, how, chance)
        named = [each.path for each in check_study(copy).findings]
        assert name in named, (name, how)


def damage(path, how, chance):
    content = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[: chance.randrange(len(content) - 1)])
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)


def test_trials_of_other_settings_and_wrong_names_are_foreign(copy, tmp_path):
    other = make(tmp_path / "other", settings={"name": "another"})
    other.run()
    stranger = next((other.store.root / "trials").iterdir())
    shutil.copytree(stranger, copy / "trials" / stranger.name)
    moved = sorted((copy / "trials").iterdir())[0]
    moved.rename(moved.with_name("0" * 16))
    assert {("foreign", f"trials/{stranger.name}"), ("foreign", f"trials/{'0' * 16}")} <= found(copy)
    assert not check_study(copy).is_sound


def test_what_does_not_belong_is_foreign_and_what_a_crash_leaves_is_a_note(copy):
    trial = next((copy / "trials").iterdir())
    for path in (copy / "notes.txt", trial / "extra.bin", copy / f".study.json.{'a' * 32}"):
        path.touch()
    (copy / "running" / "0123456789abcdef").mkdir(parents=True)
    assert found(copy) == {
        ("foreign", "notes.txt"),
        ("foreign", f"trials/{trial.name}/extra.bin"),
        ("note", f".study.json.{'a' * 32}"),
        ("note", "running/0123456789abcdef"),
    }


def test_what_is_not_there_yet_is_a_note(copy):
    shutil.rmtree(next((copy / "trials").iterdir()))
    (copy / "results.json").unlink()
    checked = check_study(copy)
    assert [(each.kind, each.what) for each in checked.findings] == [
        (Severity.NOTE, "there are no results yet"),
        (Severity.NOTE, "1 trial is not stored"),
    ]
    assert checked.is_sound


def test_the_cure_cures(copy):
    """Doing what a finding says makes the study whole again."""
    trial = next((copy / "trials").iterdir())
    (trial / "metrics.jsonl").write_text("")
    (finding,) = check_study(copy).findings
    assert finding.cure == f"delete {trial}, then give the study's command again: it runs this trial anew"
    shutil.rmtree(trial)
    make(copy).run()
    assert check_study(copy).findings == ()


def test_a_directory_without_a_study_is_reported(tmp_path):
    with pytest.raises(ValueError, match="is no study"):
        check_study(tmp_path)
