import math
import re
import sys

import pytest
from monitored import train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from lastbit.extras import how_to_install
from lastbit.integrations import TensorBoard


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
        assert [step for step, _ in scalars[f"sharpness/{name}"]] == [2, 4, 6]
        for row, (_, value) in zip(rows, scalars[f"sharpness/{name}"], strict=True):
            assert value == pytest.approx(row.scalars()[name], rel=1e-6, nan_ok=True)
    assert math.isnan(scalars["sharpness/normalised"][-1][1])


def test_every_row_is_flushed(tmp_path):
    """The writer hands scalars to a thread of its own, which a crash would take along."""
    with SummaryWriter(str(tmp_path)) as writer:
        calls, add, flush = [], writer.add_scalar, writer.flush
        writer.add_scalar = lambda *args, **options: (calls.append("add"), add(*args, **options))
        writer.flush = lambda: (calls.append("flush"), flush())
        rows = train(TensorBoard(writer))
    assert calls[: 3 * (1 + len(rows[0].scalars()))] == [*["add"] * len(rows[0].scalars()), "flush"] * 3


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
