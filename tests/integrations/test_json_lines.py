import json
import os

from monitored import train

from lastbit.integrations import JsonLines, json_lines


def test_every_row_is_a_line_and_what_is_not_finite_is_null(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    rows = train(JsonLines(path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert lines[0] == json.loads(json.dumps(rows[0].as_dict()))
    assert lines[2]["diverged"]
    assert (lines[2]["sharpness"], lines[2]["values"]) == (None, [None, None])


def test_a_row_is_on_disk_before_training_goes_on(tmp_path, monkeypatch):
    path, synced, sync = tmp_path / "rows.jsonl", [], os.fsync
    sink = JsonLines(path)
    monkeypatch.setattr(json_lines.os, "fsync", lambda file: (sync(file), synced.append(os.fstat(file).st_size)))
    sizes = []
    train(sink, lambda row: sizes.append(path.stat().st_size))
    assert synced == sizes == sorted(set(sizes))
    assert len(sizes) == 3


def test_a_file_is_continued_after_a_line_that_was_cut_short(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\n{"st')
    train(JsonLines(path))
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 4, 6]
