import math
import re
import sys

import pytest
from monitored import train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from lastbit.integrations import TensorBoard
from lastbit.machine import how_to_install


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
