"""Directories of results as they may come from anywhere: damaged, and altered with their checksums made right again."""

import json
import random
from pathlib import Path

import polars as pl
import pytest
import torch
from fuzzing import check_line, damaged, deadline, inputs, mutated, run
from hypothesis import given
from hypothesis import strategies as st

import lastbit as lb
from lastbit.storage.files import read_checksummed, sha256, to_json, write_checksummed
from lastbit.study.comparison import compare
from lastbit.study.open_study import open_study


def train(run):
    """Logs, weights and predictions that differ a little."""
    weight = torch.linspace(-1, 1, 5) * (1 + 1e-6 * run.noise.k * (run.noise.k > 2)) + run.seed
    run.snapshot(1, {"w": weight})
    run.log(1, epoch=1, test_accuracy=80.0 + run.seed + 0.1 * run.noise.k * (run.noise.k > 2), train_loss=0.5)
    run.log_predictions(torch.arange(6) % (2 + run.seed), torch.arange(6) % 3)


def many():
    """A comparison of recipes over tasks, with a margin; its fields are those of every table of runs."""
    rows = [
        {"recipe": recipe, "data": task, "seed": seed, "acc": 90 + seed % 3 + 0.1 * (at * seed % 5) + at * at}
        for at, recipe in enumerate(("base", "new", "other"))
        for task in ("one", "two")
        for seed in (1, 2, 3)
    ]
    return compare(pl.DataFrame(rows), by="recipe", metric="acc", seed="seed", task="data", within=0.5).as_json()


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Two small studies with their results and their comparison."""
    root = tmp_path_factory.mktemp("sound")
    for name in ("a", "b"):
        noises = [lb.Scale(1), lb.Scale(3)]
        study = lb.Study(root / name, train, noises=noises, seeds=(1, 2), name=name, settings={"name": name})
        study.run()
        study.store_results()
    of_two = compare(root / "a", root / "b").as_json() | {"gain": None}
    for name, content in (("compared", of_two), ("many", many())):
        (root / name).mkdir()
        (root / name / "compare.json").write_text(to_json(content))
    return root


@pytest.fixture(scope="module")
def files(sound):
    """Everything in study a, by name."""
    paths = [path for path in (sound / "a").rglob("*.*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(sound / "a").as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("altered")


def altered_with_checksums(files: dict[str, bytes], name: str, chance: random.Random) -> bytes:
    """A file altered, with all its checksums right."""
    if name.endswith(".json"):
        content = json.loads(files[name])
        content.pop("checksum", None)
        changed = mutated(content, chance)
        if not name.endswith("trial.json"):
            return to_json({**changed, "checksum": sha256(to_json(changed).encode("utf-8", "surrogatepass"))}).encode()
        return to_json(changed).encode()
    return damaged(files[name], chance)


def alter(root: Path, files: dict[str, bytes], name: str, content: bytes, *, with_checksum: bool) -> None:
    """Replace a file of the study; of a trial's own files, its record of checksums too."""
    (root / name).write_bytes(content)
    trial, _, below = name.removeprefix("trials/").partition("/")
    if with_checksum and name.startswith("trials/") and below != "done.json":
        record = root / "trials" / trial / "done.json"
        done = read_checksummed(record)
        write_checksummed(record, done | {"files": done["files"] | {below: sha256(content)}})


def restore(root: Path, files: dict[str, bytes], name: str) -> None:
    """Put a file, and the record beside it, back as they were."""
    for each in (name, f"trials/{name.split('/')[1]}/done.json" if name.startswith("trials/") else name):
        (root / each).write_bytes(files[each])


@pytest.fixture(scope="module")
def study(place, files):
    """A copy of study a to alter."""
    for name, content in files.items():
        (place / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "a" / name).write_bytes(content)
    return place / "a"


def read_all(root: Path) -> None:
    """Everything that can be read of a study, or one line that says what is wrong with it."""
    try:
        with deadline():
            opened = open_study(root)
            for trial in opened.grid().stored.values():
                _ = trial.metrics, trial.fingerprint, trial.predictions(), trial.targets()
                _ = [trial.weight_shapes(step) for step in trial.weight_steps()]
            opened.results().as_json()
    except ValueError as error:
        check_line(error)


@given(seed=st.integers(0, 2**32))
@inputs(300)
def test_damaged_studies_are_refused_by_the_loaders(seed, study, files):
    chance = random.Random(seed)
    name = chance.choice(sorted(files))
    alter(study, files, name, damaged(files[name], chance), with_checksum=chance.random() < 0.5)
    read_all(study)
    restore(study, files, name)


@given(seed=st.integers(0, 2**32))
@inputs(350)
def test_altered_studies_are_read_or_refused_by_the_loaders(seed, study, files):
    chance = random.Random(seed)
    name = chance.choice(sorted(files))
    alter(study, files, name, altered_with_checksums(files, name, chance), with_checksum=True)
    read_all(study)
    restore(study, files, name)


@pytest.fixture
def undrawn(monkeypatch):
    """Comparisons are made and said, and no page is drawn, which takes a hundred times as long."""
    monkeypatch.setattr("lastbit.cli.compare._store", lambda content, out: out)


@given(seed=st.integers(0, 2**32))
@inputs(150)
def test_altered_studies_are_checked_and_compared(seed, study, files, sound, undrawn):
    chance = random.Random(seed)
    name = chance.choice(sorted(files))
    alter(study, files, name, altered_with_checksums(files, name, chance), with_checksum=chance.random() < 0.8)
    run("check", study)
    run("compare", study, sound / "b", "--out", study.parent / "out")
    restore(study, files, name)


@given(seed=st.integers(0, 2**32))
@inputs(15)
def test_altered_results_have_a_page_or_one_line(seed, study, files):
    alter(
        study,
        files,
        "results.json",
        altered_with_checksums(files, "results.json", random.Random(seed)),
        with_checksum=False,
    )
    run("report", study)
    restore(study, files, "results.json")


@given(seed=st.integers(0, 2**32), kind=st.sampled_from(["compared", "many"]))
@inputs(30)
def test_altered_comparisons_have_a_page_or_one_line(seed, kind, sound, place):
    content = json.loads((sound / kind / "compare.json").read_text())
    (place / "compare.json").write_text(json.dumps(mutated(content, random.Random(seed))))
    run("report", place)
