import json
import math
import re
import struct
import sys

import pytest
import wandb
from monitored import train
from wandb.proto.wandb_internal_pb2 import Record

from lastbit.integrations import WandB
from lastbit.machine import how_to_install

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
