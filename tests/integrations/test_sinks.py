"""What the sinks write, read back by the tools they are for."""

import json
import math
import os
import re
import struct
import sys

import pytest
import wandb
from monitored import train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter
from wandb.proto.wandb_internal_pb2 import Record

from lastbit.integrations import JsonLines, TensorBoard, WandB, sinks
from lastbit.machine import how_to_install


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
    monkeypatch.setattr(sinks.os, "fsync", lambda file: (sync(file), synced.append(os.fstat(file).st_size)))
    sizes = []
    train(sink, lambda row: sizes.append(path.stat().st_size))
    assert synced == sizes == sorted(set(sizes))
    assert len(sizes) == 3


def test_a_file_is_continued_after_a_line_that_was_cut_short(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\n{"st')
    train(JsonLines(path))
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 4, 6]


def read(directory):
    events = EventAccumulator(str(directory))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_the_event_file_holds_every_scalar_of_every_row(tmp_path):
    with TensorBoard(tmp_path) as sink:
        rows = train(sink)
    scalars = read(tmp_path)
    assert set(scalars) == {f"sharpness/{name}" for name in rows[0].scalars()}
    for name in rows[0].scalars():
        known = [row for row in rows if name in row.scalars()]  # a diverged row has no stepped gradient to compare
        assert [step for step, _ in scalars[f"sharpness/{name}"]] == [row.step for row in known]
        for row, (_, value) in zip(known, scalars[f"sharpness/{name}"], strict=True):
            assert value == pytest.approx(row.scalars()[name], rel=1e-6, nan_ok=True)
    assert math.isnan(scalars["sharpness/normalised"][-1][1])


def test_every_row_is_flushed(tmp_path):
    """The writer hands scalars to a thread of its own, which a crash would take along."""
    with SummaryWriter(str(tmp_path)) as writer:
        calls, add, flush = [], writer.add_scalar, writer.flush
        writer.add_scalar = lambda *args, **options: (calls.append("add"), add(*args, **options))
        writer.flush = lambda: (calls.append("flush"), flush())
        rows = train(TensorBoard(writer))
    assert len(rows) == 3
    expected = [call for row in rows for call in (*["add"] * len(row.scalars()), "flush")]
    assert calls[: len(expected)] == expected


def test_a_note_is_text_beside_the_scalars(tmp_path):
    writer = SummaryWriter(str(tmp_path))
    texts, writer.add_text = [], lambda tag, text, global_step: texts.append((tag, text, global_step))
    (row,) = train(TensorBoard(writer), scale=4)[:1]
    assert texts[0] == ("sharpness/note", row.note, 2)
    assert row.note.startswith("the stepped gradient is 4 times")
    writer.close()


def test_a_row_is_in_the_file_before_the_writer_is_closed_and_a_given_writer_stays_open(tmp_path):
    writer = SummaryWriter(str(tmp_path), flush_secs=3600)
    with TensorBoard(writer) as sink:
        train(sink)
        assert len(read(tmp_path)["sharpness/sharpness"]) == 3
    writer.add_scalar("still open", 1.0)
    writer.close()
    assert "still open" in read(tmp_path)


def test_a_missing_tensorboard_is_one_clear_line(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(
        ModuleNotFoundError, match="tensorboard is not installed; " + re.escape(how_to_install("tensorboard"))
    ):
        TensorBoard(tmp_path)


BLOCK = 32768  # the run file is a LevelDB log


def records(content):
    """The records of an offline run: after a 7-byte header, chunks of checksum, length, kind and bytes in blocks."""
    position, whole = 7, b""
    while position + 7 <= len(content):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        whole += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


def history(directory):
    (file,) = directory.glob("wandb/offline-run-*/*.wandb")
    found = list(records(file.read_bytes()))
    rows = [r.history.item for r in found if r.WhichOneof("record_type") == "history"]
    axes = [(r.metric.name or r.metric.glob_name, r.metric.step_metric) for r in found if r.HasField("metric")]
    return [{i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in row} for row in rows], axes


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(
        mode="offline",
        dir=str(tmp_path),
        settings=wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True),
    ) as run:
        yield run


def test_an_offline_run_holds_every_row_against_its_own_axis(run, tmp_path):
    rows = train(WandB(), lambda row: run.log({"loss": row.loss}))
    run.finish()
    wandb.teardown()  # its process writes the end of the file on leaving
    logged, axes = history(tmp_path)
    assert ("sharpness/*", "sharpness/step") in axes
    ours = [row for row in logged if "sharpness/step" in row]
    assert [row["sharpness/step"] for row in ours] == [2, 4, 6]
    for row, line in zip(rows, ours, strict=True):
        for name, value in row.scalars().items():
            assert line[f"sharpness/{name}"] == pytest.approx(value, nan_ok=True)
    assert math.isnan(ours[-1]["sharpness/sharpness"])
    assert sum("loss" in row for row in logged) == 3, "the run's own metrics are all there"


def test_without_a_run_there_is_one_clear_line(monkeypatch):
    with pytest.raises(ValueError, match=r"no W&B run is active; call wandb\.init\(\) first"):
        WandB()
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ModuleNotFoundError, match="wandb is not installed; " + re.escape(how_to_install("wandb"))):
        WandB()
