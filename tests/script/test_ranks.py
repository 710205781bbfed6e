"""Which of a trial's processes counts, from directories as the processes leave them."""

import pytest
import torch
from safetensors.torch import load_file

from lastbit.errors import LastbitError
from lastbit.noise import Scale
from lastbit.script.joining import Member
from lastbit.script.notes import Notes
from lastbit.script.ranks import UnclearError, first_error, gather
from lastbit.script.shards import Shard, write_parts
from lastbit.study import Recorder, Trial

WHOLE = torch.arange(15.0).view(5, 3)


@pytest.fixture
def trial(tmp_path):
    (tmp_path / "output").mkdir()
    return Recorder(Trial({}, 1, Scale(1)), tmp_path)


def process(trial, number, *, rank=None, world=None, nodes=1, weights=None, **noted):
    """A further process of the trial, with a weight after step 4 and a metric."""
    place = trial.directory / "processes" / str(number)
    recorder = Recorder(Trial({}, 1, Scale(1)), place)
    Member(number, "", "train.py", rank, world, nodes).write(place)
    if weights is not None:
        recorder.snapshot(4, weights)
        recorder.log(4, loss=float(number))
    Notes(rank=rank, world=world, nodes=nodes, **noted).write(place)
    return place


def kept(trial):
    return load_file(trial.directory / "weights" / "000000004.safetensors")


def test_what_rank_0_recorded_is_the_trials_and_the_first_process_logged_last(trial):
    trial.log(0, accuracy=0.5)
    for rank in (1, 0):
        weights = {"w": torch.full((2,), float(rank))} if rank == 0 else None
        files = {"read": {f"/read-{rank}": 1}, "sources": {f"/s{rank}.py": "x"}, "names": ["w"], "digest": "d"}
        process(trial, 20 + rank, rank=rank, world=2, weights=weights, steps=4, began=rank, ended=9 - rank, **files)
    notes = gather(trial, Notes(children=["python train.py"], began=5, ended=8))
    assert torch.equal(kept(trial)["w"], torch.zeros(2))
    rows = (trial.directory / "metrics.jsonl").read_text().splitlines()
    assert [("loss" in row, "accuracy" in row) for row in rows] == [(True, False), (False, True)]
    assert (notes.steps, notes.rank, notes.processes, notes.children) == (4, 0, 2, ["python train.py"])
    assert (notes.began, notes.ended) == (0, 9)
    assert (set(notes.read), set(notes.sources)) == ({"/read-0", "/read-1"}, {"/s0.py", "/s1.py"})
    assert (notes.doubts, notes.remarks) == ([], [])
    assert not (trial.directory / "processes").exists()


def test_a_first_process_that_trained_counts_and_others_are_told_of(trial):
    process(trial, 20, rank=1, world=2, steps=4, names=["w"], digest="other")
    process(trial, 21, steps=4, names=["v"])
    notes = gather(trial, Notes(steps=4, rank=0, world=2, names=["w"], digest="one"))
    assert notes.doubts == [
        "ended with other weights on rank 1 than on rank 0: the ranks did not keep in step, and those of rank 0 alone"
        " are compared"
    ]
    assert notes.remarks[0].startswith("trained in 1 more process outside of any group of ranks; the weights")
    assert notes.remarks[1].startswith("updated weights that rank 0 does not, as ZeRO and pipelines do (v, on rank")
    assert notes.remarks[1].endswith(": only what rank 0 updates is compared")


@pytest.mark.parametrize("rows", [(2, 3), (5, 0)])
def test_parts_of_a_weight_are_put_together_and_the_rest_is_rank_0s(trial, rows):
    for rank, (local, offset) in enumerate(zip(WHOLE.split(rows), (0, rows[0]), strict=True)):
        weights = {"w": local, **({"bias": torch.ones(2)} if rank == 0 else {})}
        place = process(trial, 30 - rank, rank=rank, world=2, weights=weights, steps=4)
        write_parts(place, {"w": Shard((5, 3), (offset, 0))})
    gather(trial, Notes())
    assert torch.equal(kept(trial)["w"], WHOLE)
    assert torch.equal(kept(trial)["bias"], torch.ones(2))


def test_a_missing_part_is_said(trial):
    place = process(trial, 30, rank=0, world=1, weights={"w": WHOLE[:2]}, steps=4)
    write_parts(place, {"w": Shard((5, 3), (0, 0))})
    with pytest.raises(LastbitError, match="9 of the 15 numbers of w are on no process that reported"):
        gather(trial, Notes())


@pytest.mark.parametrize(
    ("processes", "complaint"),
    [
        ([{"steps": 3}, {"steps": 3}], "2 processes trained that are no ranks of one group"),
        ([{"rank": 0, "world": 2, "steps": 3}] * 2, "rank 0 trained in 2 processes one after another"),
        ([{"rank": 0, "world": 4, "steps": 3}, {"rank": 2, "world": 4}], "ranks 1, 3 of 4 trained without the noise"),
        ([{"rank": 0, "world": 2, "steps": 3, "nodes": 2}], "the training has 2 nodes"),
    ],
)
def test_processes_that_do_not_say_what_to_compare(trial, processes, complaint):
    for number, noted in enumerate(processes, 40):
        process(trial, number, weights={"w": torch.ones(1)}, **noted)
    with pytest.raises(UnclearError, match=complaint):
        gather(trial, Notes())
    assert not (trial.directory / "processes").exists()


def test_a_rank_that_registered_without_its_number_is_not_missed(trial):
    process(trial, 40, rank=0, world=2, weights={"w": torch.ones(1)}, steps=3)
    process(trial, 41)
    assert gather(trial, Notes()).steps == 3


def test_a_noise_refused_by_a_rank_is_refused_by_the_trial(trial):
    process(trial, 40, rank=0, world=1, refused="no k here")
    assert gather(trial, Notes()).refused == "no k here"


def test_the_error_that_came_first_is_shown(trial):
    assert first_error(trial.directory) is None
    process(trial, 40, rank=0, world=2, error="RuntimeError: connection closed", ended=7)
    process(trial, 41, rank=1, world=2, error="ZeroDivisionError", ended=6)
    assert first_error(trial.directory) == "rank 1 of 2:\nZeroDivisionError"
