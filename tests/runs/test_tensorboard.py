"""Event files, written by torch's and TensorFlow's way of writing, beside TensorBoard's own reader."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto
from torch.utils.tensorboard import SummaryWriter

from lastbit.errors import LastbitError
from lastbit.runs import read_runs
from lastbit.runs.formats.tensorboard import EventFiles
from lastbit.runs.raw import Asked


def write(path, values, tags=("acc", "train/loss"), first=0):
    with SummaryWriter(path) as writer:
        for step, value in enumerate(values, start=first):
            for at, tag in enumerate(tags):
                writer.add_scalar(tag, value + at, step)


def read(path, **asked):
    return EventFiles().read(path, Asked(**asked)).frame.row(0, named=True)


@pytest.mark.parametrize("first", [0, 100, 2**20, 2**40])
def test_values_are_those_of_tensorboards_own_reader(tmp_path, first):
    values = np.random.default_rng(1).normal(size=200)
    write(tmp_path, values, first=first)
    theirs = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    for tag in ("acc", "train/loss"):
        events = theirs.Scalars(tag)
        assert len(events) == 200
        assert read(tmp_path)[tag] == events[-1].value
        assert read(tmp_path, metric=tag, step=first + 57)[tag] == events[57].value
    acc = [event.value for event in theirs.Scalars("acc")]
    assert read(tmp_path, metric="acc", step="best")["acc"] == max(acc)
    loss = [event.value for event in theirs.Scalars("train/loss")]
    assert read(tmp_path, metric="train/loss", step="best")["train/loss"] == min(loss)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_scalars_in_tensors_are_read(tmp_path, kind):
    """TensorFlow 2 and JAX write them so."""
    writer = EventFileWriter(str(tmp_path))
    plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"), data_class=1)
    for step in range(300):
        for tag, more in (("acc", 0), ("f1", 1)):
            value = Summary.Value(tag=tag, tensor=make_tensor_proto(kind(step + more)), metadata=plugin)
            writer.add_event(Event(step=step, wall_time=1.0 + step, summary=Summary(value=[value])))
    writer.close()
    assert (read(tmp_path)["acc"], read(tmp_path)["f1"]) == (299, 300)
    assert [read(tmp_path, metric="f1", step=step)["f1"] for step in (0, 1, 127, 128, 290)] == [1, 2, 128, 129, 291]


def test_events_of_several_values_and_of_other_kinds(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("acc", 0.25, 1)
        writer.add_histogram("weights", np.arange(10.0), 1)
        writer.add_text("note", "text", 1)
        both = Summary(value=[Summary.Value(tag="acc", simple_value=0.5), Summary.Value(tag="f1", simple_value=0.75)])
        writer.file_writer.add_event(Event(step=2, summary=both))
    row = read(tmp_path)
    assert (row["acc"], row["f1"]) == (0.5, 0.75)
    assert "weights" not in row


def test_negative_steps_and_steps_out_of_order(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for step, value in ((5, 0.5), (7, 0.75), (6, 0.25), (-1, 0.125)):
            writer.add_scalar("acc", value, step)
    assert read(tmp_path)["acc"] == 0.75


def test_a_directory_of_runs_is_compared_by_their_names(tmp_path):
    for recipe, plus in (("sgd", 0.0), ("adam", 0.5)):
        for seed in (1, 2):
            write(tmp_path / f"{recipe}_seed{seed}", [0.125, plus + seed / 16])
    runs = read_runs(tmp_path, metric="acc")
    assert runs.recipes == ["adam", "sgd"]
    assert runs.by_seed(runs.recipes[0]) == {1: 0.5625, 2: 0.625}
    assert any("The last acc of each run counts" in note for note in runs.notes)


def test_hyperparameters_are_the_configuration(tmp_path):
    for lr in (0.5, 0.25):
        for seed in (1, 2):
            with SummaryWriter(tmp_path / f"{lr}-{seed}") as writer:
                writer.add_scalar("acc", lr + seed, 3)
                writer.add_hparams({"lr": lr, "seed": seed, "opt": "sgd", "nesterov": True}, {"hparam/acc": lr + seed})
    runs = read_runs(tmp_path, metric="acc")
    assert runs.by == ("lr",)
    assert runs.seed == ("seed",)
    assert runs.by_seed("lr=0.5") == {1: 1.5, 2: 2.5}
    assert runs.frame.height == 4


def test_parts_of_a_run_are_one_run(tmp_path):
    for seed in (1, 2):
        for split in ("train", "validation"):  # as Keras writes them
            write(tmp_path / f"seed{seed}" / split, [0.5, 0.25 * seed + (split == "train")], tags=("acc",))
    runs = read_runs(tmp_path, metric="validation/acc")
    assert runs.frame["value"].to_list() == [0.25, 0.5]
    with SummaryWriter(tmp_path / "both") as writer:
        writer.add_scalar("acc", 0.5, 1)
        writer.add_scalars("loss", {"train": 1.0, "val": 2.0}, 1)
    assert EventFiles().read(tmp_path / "both", Asked()).frame.height == 1


def test_a_file_that_is_still_written_is_read_as_far_as_it_goes(tmp_path):
    write(tmp_path, [0.25, 0.5, 0.75], tags=("acc",))
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-5])
    part = EventFiles().read(tmp_path, Asked())
    assert part.frame["acc"].to_list() == [0.5]
    assert "ends within an event" in part.notes[0]
    file.write_bytes(content[:60] + b"\xff" + content[61:-40] + content[-39:])
    with pytest.raises(LastbitError, match=r"a checksum is wrong|is damaged"):
        EventFiles().read(tmp_path, Asked())


def test_chunks_split_no_event(tmp_path, monkeypatch):
    write(tmp_path, np.linspace(0, 1, 50))
    whole = read(tmp_path)
    monkeypatch.setattr("lastbit.runs.formats.tensorboard._CHUNK", 37)
    read_bytes = []
    frame = EventFiles().read(tmp_path, Asked(on_bytes=read_bytes.append)).frame
    assert frame.row(0, named=True) == whole
    assert sum(read_bytes) == sum(file.stat().st_size for file in tmp_path.iterdir())


def test_tensors_of_contents_and_of_several_numbers(tmp_path):
    writer = EventFileWriter(str(tmp_path))
    for step in range(5):
        tensor = TensorProto(dtype=2, tensor_content=np.float64(step / 3).tobytes())
        acc = Summary(value=[Summary.Value(tag="acc", tensor=tensor)])
        writer.add_event(Event(step=step, summary=acc))
        several = make_tensor_proto(np.arange(3.0 + step))
        writer.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag="weights", tensor=several)])))
        writer.add_event(
            Event(step=step, wall_time=2.0, summary=Summary(value=[Summary.Value(tag="acc", tensor=tensor)]))
        )
    writer.close()
    row = read(tmp_path)
    assert row["acc"] == 4 / 3
    assert "weights" not in row


def test_a_scalar_of_another_writer_in_the_same_file(tmp_path):
    """Of the same length and tag, with its number at another place."""
    with SummaryWriter(tmp_path) as writer:
        for step in range(1, 4):
            writer.add_scalar("acc", step / 4, step)
            tensor = make_tensor_proto(np.float32(step / 8))
            value = Summary.Value(tag="acc", tensor=tensor)
            writer.file_writer.add_event(Event(step=step + 10, wall_time=1.0, summary=Summary(value=[value])))
    assert read(tmp_path)["acc"] == 0.375
    assert read(tmp_path, metric="acc", step=9)["acc"] == 0.75
