"""Stored trials whose checksums are right and whose content is hostile: whoever altered them wrote new checksums."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

import lastbit as lb
from lastbit.storage.files import DamagedError, read_checksummed, sha256, write_checksummed
from lastbit.study.open_study import open_study
from lastbit.study.stored_trial import DONE, open_trial


def logs(run):
    run.log(1, test_accuracy=80.0)
    run.snapshot(1, {"w": torch.ones(2)})
    run.log_predictions(torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))


@pytest.fixture
def study(tmp_path):
    made = lb.Study(tmp_path / "study", logs, noises=[lb.Scale(1), lb.Scale(3)], seeds=(1,))
    made.run()
    return made


@pytest.fixture
def place(study):
    return study.store.root / "trials" / study.trials()[0].id


def replace_file(place: Path, name: str, content: bytes) -> None:
    """Replace a file of a trial, and its checksum."""
    (place / name).write_bytes(content)
    done = read_checksummed(place / DONE)
    write_checksummed(place / DONE, done | {"files": done["files"] | {name: sha256(content)}})


def change(place: Path, **fields) -> None:
    write_checksummed(place / DONE, read_checksummed(place / DONE) | fields)


@pytest.mark.parametrize("name", ["../../study.json", "/etc/passwd", "a/../../x", "nul\0byte"])
def test_no_path_leads_out_of_a_trial(place, name):
    change(place, files={name: "0" * 64})
    with pytest.raises(DamagedError, match=r"is not below .*: done\.json was altered"):
        open_trial(place).verify()


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "won"},
        {"status": None},
        {"diverged_at": "3"},
        {"digest": 7},
        {"files": []},
        {"files": {"metrics.jsonl": None}},
    ],
)
def test_fields_of_other_types_are_refused(place, fields):
    change(place, **fields)
    with pytest.raises(DamagedError, match="does not say how a trial ended"):
        open_trial(place)


@pytest.mark.parametrize(
    "line",
    [b"[1]", b'"text"', b'{"a": "b"}', b'{"a": [1]}', b"{", b"[" * 5000, b'{"a": ' + b"9" * 5000 + b"}", b"\xff"],
)
def test_metrics_are_numbers_by_name(place, line):
    replace_file(place, "metrics.jsonl", line + b"\n")
    with pytest.raises(DamagedError, match=r"metrics\.jsonl"):
        _ = open_trial(place).metrics


def tensors(header: dict[str, object] | str, data: bytes = b"") -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        tensors({"w": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 8]}}, bytes(8)),
        tensors({"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}, bytes(8)),
        tensors({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**62]}}, bytes(8)),
        tensors({"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, bytes(8)),
        tensors({"w": {"dtype": "OBJECT", "shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
        tensors({"w": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}, bytes(2)),
        tensors("[" * 4000),
        struct.pack("<Q", 2**63) + b"{}",
        b"",
        b"short",
    ],
)
def test_tensors_whose_header_lies_are_refused(place, content):
    replace_file(place, "weights/000000001.safetensors", content)
    with pytest.raises(DamagedError, match="holds no tensors"):
        open_trial(place).weights(1)


@pytest.mark.parametrize("labels", [torch.zeros(3), torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3) * 1j])
def test_predictions_are_classes(place, labels):
    replace_file(place, "predictions.safetensors", save({"labels": labels.contiguous()}))
    with pytest.raises(DamagedError, match="labels are no classes"):
        open_trial(place).predictions()


def test_weights_that_are_not_finite_are_data(place):
    replace_file(place, "weights/000000001.safetensors", save({"w": torch.tensor([float("nan"), float("inf")])}))
    assert open_trial(place).weights(1)["w"].isnan().any()


def test_names_that_are_no_steps_are_no_weights(place):
    change(place, files={"weights/x.safetensors": "0", "weights/1.safetensors": "0", f"weights/{'9' * 5000}": "0"})
    assert open_trial(place).weight_steps() == [1]


@pytest.mark.parametrize(
    "fields",
    [
        {"seeds": "123"},
        {"seeds": [1.5]},
        {"seeds": ["1"]},
        {"seeds": None},
        {"noises": {}},
        {"noises": [1]},
        {"noises": [{"kind": "scale", "k": "3"}]},
        {"noises": [{"kind": ["scale"]}]},
        {"noises": [{"kind": "rounding", "p": "x", "seed": 1}]},
        {"name": 3},
        {"settings": []},
        {"metric": []},
        {"metric": {"name": 1, "label": "x"}},
        {"metric": {"name": "x"}},
        {"seed_decides": []},
        {"seeds": list(range(600_000))},
    ],
)
def test_a_study_of_other_types_or_of_endless_trials_is_refused(study, fields):
    root = study.store.root
    write_checksummed(root / "study.json", read_checksummed(root / "study.json") | fields)
    with pytest.raises(ValueError, match=r".") as wrong:
        open_study(root)
    assert "\n" not in str(wrong.value)
    assert len(str(wrong.value)) < 500


@pytest.mark.parametrize("fields", [{"exit_code": "1"}, {"last_lines": 3}, {"last_lines": None}])
def test_a_failure_of_other_types_is_refused(tmp_path, fields):
    def fails(run):
        raise RuntimeError("\x1b[31m<script>")

    study = lb.Study(tmp_path / "study", fails, noises=[lb.Scale(1)], seeds=(1,), controlled=False)
    with pytest.raises(lb.study.TrialFailedError):
        study.run()
    path = next(study.store.root.glob("failed/*/failure.json"))
    write_checksummed(path, read_checksummed(path) | fields)
    with pytest.raises(DamagedError, match="does not say how a trial failed"):
        study.results()
