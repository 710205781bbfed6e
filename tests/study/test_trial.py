import json

import pytest
import torch
from torch import nn

import lastbit as lb
from lastbit.execution.numerics import fingerprint, repeatable_numerics
from lastbit.storage.files import sha256
from lastbit.study import Recorder, Trial
from lastbit.study.store import Store

TRIAL = Trial({"lr": 0.1, "name": "demo"}, 1, lb.Scale(3))


def test_the_id_is_a_hash_of_all_that_decides_the_outcome():
    assert TRIAL.id == Trial({"name": "demo", "lr": 0.1}, 1, lb.Scale(3)).id
    others = [
        Trial({"lr": 0.2, "name": "demo"}, 1, lb.Scale(3)),
        Trial(TRIAL.settings, 2, lb.Scale(3)),
        Trial(TRIAL.settings, 1, lb.Scale(5)),
        Trial(TRIAL.settings, 1, lb.Scale(3), replica=1),
    ]
    assert len({trial.id for trial in [TRIAL, *others]}) == 5
    # The id names directories of finished studies: a change of it would orphan them all.
    assert TRIAL.id == sha256(
        b'{"noise": {"k": 3, "kind": "scale"}, "replica": 0, "seed": 1, "settings": {"lr": 0.1, "name": "demo"}}'
    )[:16]  # fmt: skip


def test_what_a_trial_records_is_read_back(tmp_path):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    recorder = store.begin(TRIAL, {"torch": "2"})
    assert (recorder.seed, recorder.noise.k) == (1, 3)
    network = nn.Linear(2, 3)
    recorder.log(4, test_accuracy=50.0, epoch=1)
    recorder.log(8, test_accuracy=60.0, train_loss=float("nan"))
    recorder.snapshot(8, network)
    recorder.snapshot(2, {"w": torch.arange(6.0).view(2, 3).T})
    recorder.log_predictions(torch.tensor([1, 2, 3]), torch.tensor([1, 2, 0]))
    assert not store.has(TRIAL)
    store.finish(TRIAL, recorder)
    assert store.has(TRIAL)
    stored = store.load(TRIAL)
    assert stored.metrics == [
        {"step": 4, "test_accuracy": 50.0, "epoch": 1},
        {"step": 8, "test_accuracy": 60.0, "train_loss": None},
    ]
    assert (stored.final("test_accuracy"), stored.final("train_loss"), stored.final("absent")) == (60.0, None, None)
    assert stored.weight_steps() == [2, 8]
    assert torch.equal(stored.weights(8)["weight"], network.weight.detach())
    assert torch.equal(stored.weights(2)["w"], torch.arange(6.0).view(2, 3).T)
    assert stored.predictions().tolist() == [1, 2, 3]
    assert stored.targets().tolist() == [1, 2, 0]
    assert stored.fingerprint == {"torch": "2"}


def test_metrics_without_a_step_belong_to_the_last_one_told(tmp_path):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    recorder = store.begin(TRIAL, {})
    recorder.log(acc=1.0)
    recorder.snapshot(4, {"w": torch.zeros(1)})
    recorder.log(acc=2.0)
    recorder.log(6, acc=3.0)
    recorder.log(loss=0.5)
    store.finish(TRIAL, recorder)
    assert [row["step"] for row in store.load(TRIAL).metrics] == [0, 4, 6, 6]


def test_done_json_holds_a_checksum_of_every_other_file(tmp_path):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    recorder = store.begin(TRIAL, fingerprint())
    recorder.log(1, test_accuracy=1.0)
    recorder.snapshot(1, {"w": torch.ones(2)})
    store.finish(TRIAL, recorder)
    place = tmp_path / "trials" / TRIAL.id
    done = json.loads((place / "done.json").read_text())
    files = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()} - {"done.json"}
    assert set(done["files"]) == files == {"trial.json", "metrics.jsonl", "weights/000000001.safetensors"}
    assert all(sha256((place / name).read_bytes()) == checksum for name, checksum in done["files"].items())


def digest(tmp_path, name, weight):
    store = Store(tmp_path / name)
    store.describe({"settings": {}})
    recorder = store.begin(TRIAL, {"torch": name})
    recorder.snapshot(1, {"w": torch.tensor([weight])})
    store.finish(TRIAL, recorder)
    return store.load(TRIAL).digest


def test_the_digest_sees_one_bit_of_a_weight_and_not_the_fingerprint(tmp_path):
    assert digest(tmp_path, "a", 1.0) == digest(tmp_path, "b", 1.0)
    assert digest(tmp_path, "a2", 1.0) != digest(tmp_path, "c", 1.0 + 2**-23)


def test_an_interrupted_attempt_leaves_nothing_behind(tmp_path):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    interrupted = store.begin(TRIAL, {})
    interrupted.log(1, test_accuracy=1.0)
    interrupted.snapshot(1, {"w": torch.ones(2)})
    assert not store.has(TRIAL)
    store.finish(TRIAL, store.begin(TRIAL, {}))
    assert (store.load(TRIAL).metrics, store.load(TRIAL).weight_steps()) == ([], [])


def test_a_metric_is_a_number(tmp_path):
    recorder = Recorder(TRIAL, tmp_path / "trial")
    with pytest.raises(TypeError, match=r"accuracy='high'.*: a metric is a number"):
        recorder.log(1, accuracy="high")
    recorder.log(1, accuracy=torch.tensor(0.5))


def test_repeatable_numerics_is_put_back():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(2)
    with repeatable_numerics():
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
        inside = fingerprint()
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before[0])
    assert torch.are_deterministic_algorithms_enabled() == before[1]
    assert inside["threads"] == 1
    assert inside["deterministic"]


def test_each_prediction_has_one_true_label(tmp_path):
    store = Store(tmp_path)
    store.describe({"settings": {}})
    recorder = store.begin(TRIAL, {})
    with pytest.raises(ValueError, match=r"labels have shape \(3,\) and targets \(2,\)"):
        recorder.log_predictions(torch.zeros(3), torch.zeros(2))
    recorder.log_predictions(torch.zeros(3))
    store.finish(TRIAL, recorder)
    assert store.load(TRIAL).targets() is None
