"""One run at a time, of one kind and settings; what is appended is there, and what was altered is not read."""

import json
import os
import signal
import subprocess
import sys

import pytest

from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind, held, held_in_words
from lastbit.storage.files import DamagedError
from lastbit.storage.locks import InUseError
from lastbit.storage.run_directory import OtherSettingsError, RunDirectory

SETTINGS = {"format": 1, "recipe": {"name": "demo", "lr": 0.1}, "seed": 1}

WRITER = """
import sys, time
from lastbit.storage.directories import Kind
from lastbit.storage.run_directory import RunDirectory

sys.argv = ["/usr/bin/lastbit", "sharpness", "demo"]
directory = RunDirectory(sys.argv_root, Kind.SHARPNESS)
with directory.claimed({"format": 1}):
    rows = directory.rows("rows.jsonl")
    for step in range(len(rows), 1000):
        directory.append("rows.jsonl", {"step": step, "text": "x" * 5000})
        if step == len(rows):
            print("begun", flush=True)
"""


def make(tmp_path, kind=Kind.GROWTH):
    return RunDirectory(tmp_path / "run", kind)


def test_says_what_it_is_and_goes_on_only_with_the_same(tmp_path):
    directory = make(tmp_path)
    with directory.claimed(SETTINGS):
        directory.write("growth.json", {"value": 0.1})
    assert directory.description() == {"kind": "growth", **SETTINGS}
    with make(tmp_path).claimed(json.loads(json.dumps(SETTINGS))):
        assert make(tmp_path).read("growth.json") == {"value": 0.1}
    other = {**SETTINGS, "recipe": {"name": "demo", "lr": 0.2}}
    with pytest.raises(OtherSettingsError) as caught, make(tmp_path).claimed(other):
        pass
    assert caught.value.changed == {"recipe.lr": "0.1 -> 0.2"}
    assert str(caught.value) == (
        f"{tmp_path / 'run'} holds results of growth of other settings: choose another directory (recipe.lr 0.1 -> 0.2)"
    )


def test_a_kind_of_run_is_recognised_by_its_description_before_it_has_results(tmp_path):
    with make(tmp_path, Kind.COMPARISON).claimed({"format": 1}):
        pass
    assert held(tmp_path / "run") == {Kind.COMPARISON: "run.json"}
    with (
        pytest.raises(LastbitError, match=r"holds a comparison \(run\.json\) and cannot take a study"),
        make(tmp_path, Kind.STUDY).claimed({}),
    ):
        pass
    with pytest.raises(OtherSettingsError, match="kind comparison -> growth"), make(tmp_path).claimed({"format": 1}):
        pass


def test_results_without_a_description_and_other_peoples_files_are_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "growth.json").write_text("{}")
    with (
        pytest.raises(LastbitError, match=r"\(growth\.json\) and no run\.json, which was lost or is of an earlier"),
        make(tmp_path).claimed(SETTINGS),
    ):
        pass
    (tmp_path / "run" / "growth.json").rename(tmp_path / "run" / "mine.txt")
    with pytest.raises(LastbitError, match=r"other files \(mine\.txt\)"), make(tmp_path).claimed(SETTINGS):
        pass
    with RunDirectory(tmp_path / "run", Kind.GROWTH, known=None).claimed(SETTINGS):
        pass
    assert held_in_words(tmp_path / "run") == "results of growth (run.json)"


def test_an_altered_part_or_description_is_not_read(tmp_path):
    directory = make(tmp_path)
    with directory.claimed(SETTINGS):
        directory.write("parts/one.json", {"value": 1})
    path = tmp_path / "run" / "parts" / "one.json"
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(DamagedError, match=r"one\.json does not match its checksum"):
        directory.read("parts/one.json")
    with pytest.raises(DamagedError, match=r"two\.json"):
        directory.read("parts/two.json")
    (tmp_path / "run" / "run.json").write_text('{"kind": "growth"}')
    with pytest.raises(DamagedError, match=r"run\.json has no checksum"), directory.claimed(SETTINGS):
        pass


def test_a_row_that_was_altered_is_refused_and_rows_without_checksums_are_read(tmp_path):
    directory = make(tmp_path)
    with directory.claimed(SETTINGS):
        directory.append("rows.jsonl", {"step": 1, "loss": 0.125})
        directory.append("rows.jsonl", {"step": 2, "loss": float("inf")})
    path = tmp_path / "run" / "rows.jsonl"
    written = path.read_text()
    path.write_text(written.replace("0.125", "0.225"))
    with pytest.raises(DamagedError, match=r"rows\.jsonl does not match its checksum"):
        directory.rows("rows.jsonl")
    path.write_text('{"step": 0}\n' + written)
    assert directory.rows("rows.jsonl") == [{"step": 0}, {"step": 1, "loss": 0.125}, {"step": 2, "loss": None}]


def test_a_torn_last_line_is_dropped_and_the_series_goes_on(tmp_path):
    directory = make(tmp_path)
    with directory.claimed(SETTINGS):
        assert directory.rows("rows.jsonl") == []
        for step in (1, 2):
            directory.append("rows.jsonl", {"step": step, "loss": float("nan")})
        path = tmp_path / "run" / "rows.jsonl"
        path.write_bytes(path.read_bytes() + b'{"step": 3, "lo')
        assert directory.rows("rows.jsonl") == [{"step": step, "loss": None} for step in (1, 2)]
        directory.append("rows.jsonl", {"step": 3})
        assert [row["step"] for row in directory.rows("rows.jsonl")] == [1, 2, 3]
        path.write_bytes(b'{"step": 1')
        directory.append("rows.jsonl", {"step": 7})
        assert directory.rows("rows.jsonl") == [{"step": 7}]
        path.write_bytes(b'{"step": 1}\nnonsense\n')
        with pytest.raises(LastbitError, match=r"rows\.jsonl"):
            directory.rows("rows.jsonl")
        path.write_bytes(b"[1]\n")
        with pytest.raises(DamagedError, match="something else than rows"):
            directory.rows("rows.jsonl")


def test_a_second_process_says_who_is_there_and_a_killed_one_leaves_rows_to_go_on_from(tmp_path):
    root = tmp_path / "run"
    program = WRITER.replace("sys.argv_root", repr(str(root)))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    second = RunDirectory(root, Kind.SHARPNESS)
    with (
        pytest.raises(InUseError, match=rf"in use by another run \(lastbit sharpness, process {process.pid} on "),
        second.claimed({"format": 1}),
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with second.claimed({"format": 1}):
        kept = second.rows("rows.jsonl")
        second.append("rows.jsonl", {"step": len(kept)})
        assert [row["step"] for row in second.rows("rows.jsonl")] == list(range(len(kept) + 1))
    with pytest.raises(OtherSettingsError, match="format 1 -> 2"), second.claimed({"format": 2}):
        pass


def test_what_this_thread_has_claimed_it_may_claim_again_and_another_object_may_not(tmp_path):
    directory = make(tmp_path)
    with (
        directory.claimed(SETTINGS),
        directory.claimed(SETTINGS),
        pytest.raises(InUseError, match=f"process {os.getpid()}"),
        make(tmp_path).claimed(SETTINGS),
    ):
        pass
    with make(tmp_path).claimed(SETTINGS):
        pass
