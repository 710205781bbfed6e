import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from lastbit.training.data import catalogue, load
from lastbit.training.data import fetching as module
from lastbit.training.data.catalogue import DatasetEntry, FetchError, Home, SourceError
from lastbit.training.data.download import silent
from lastbit.training.data.fetching import fetch, fetch_entry
from lastbit.training.data.store import digest, read, write

ARRAYS = {
    "train_images": np.arange(48, dtype=np.uint8).reshape(4, 3, 2, 2),
    "train_labels": np.array([0, 1, 1, 0], np.uint8),
    "test_images": np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2),
    "test_labels": np.array([1, 0], np.uint8),
}
OTHERS = ARRAYS | {"train_labels": ARRAYS["test_labels"]}


@dataclass
class Place:
    """A source that gives what it is told to, and counts how often it is asked."""

    name: str
    gives: dict | BaseException
    asked: int = 0
    folders: list[Path] = field(default_factory=list)

    def read(self, folder, progress):
        self.asked += 1
        self.folders.append(folder)
        progress(self.name, 0, None)
        if isinstance(self.gives, BaseException):
            raise self.gives
        return self.gives


def make_entry(instead=""):
    return DatasetEntry(
        name="toy",
        train=4,
        test=2,
        shape=(3, 2, 2),
        classes=("a", "b"),
        licence="none",
        home=Home.CACHE,
        digests={name: digest(array) for name, array in ARRAYS.items()},
        instead=instead,
    )


def same(found):
    return found.keys() == ARRAYS.keys() and all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


def test_the_first_source_that_delivers_is_kept_and_the_others_are_named(tmp_path):
    absent = Place("first.example", SourceError("the host cannot be reached"))
    wrong = Place("second.example", OTHERS)
    good, spare = Place("npm package toy@1", ARRAYS), Place("spare", ARRAYS)
    path, reports = tmp_path / "data" / "toy.npz", []
    entry = make_entry()
    fetched = fetch_entry(entry, (absent, wrong, good, spare), path, lambda *report: reports.append(report))
    assert (fetched.name, fetched.path, fetched.source) == ("toy", path, "npm package toy@1")
    assert fetched.passed_over[0] == "first.example: the host cannot be reached"
    assert fetched.passed_over[1].startswith("second.example: what it sent is not toy: train_labels has SHA-256")
    assert [place.asked for place in (absent, wrong, good, spare)] == [1, 1, 1, 0]
    assert same(read(path, entry.digests))
    assert reports == [(place.name, 0, None) for place in (absent, wrong, good)]
    assert not good.folders[0].exists()
    assert list(path.parent.glob("*.npz")) == [path]


def test_every_failure_is_named_in_one_line(tmp_path):
    sources = (
        Place("first.example", SourceError("the host cannot be reached")),
        Place("npm package toy@1", SourceError("npm is not installed")),
    )
    with pytest.raises(FetchError) as caught:
        fetch_entry(make_entry(instead="toy-mini is bundled"), sources, tmp_path / "toy.npz", silent)
    assert str(caught.value) == (
        "cannot fetch toy: first.example: the host cannot be reached; "
        "npm package toy@1: npm is not installed (toy-mini is bundled)"
    )
    assert not (tmp_path / "toy.npz").exists()


def test_what_is_sound_is_not_fetched_again_and_what_is_damaged_is_replaced(tmp_path):
    place, path = Place("example", ARRAYS), tmp_path / "toy.npz"
    entry = make_entry()
    fetch_entry(entry, [place], path, silent)
    assert fetch_entry(entry, [place], path, silent).source == "cache"
    assert place.asked == 1
    whole = path.read_bytes()
    for damage in (whole[:-10], whole.replace(ARRAYS["train_images"].tobytes(), bytes(48)), b""):
        path.write_bytes(damage)
        assert fetch_entry(entry, [place], path, silent).source == "example"
        assert same(read(path, entry.digests))
    assert place.asked == 4


def test_a_damaged_file_stays_until_there_is_a_better_one(tmp_path):
    path = tmp_path / "toy.npz"
    path.write_bytes(b"damaged")
    with pytest.raises(FetchError):
        fetch_entry(make_entry(), [Place("example", SourceError("away"))], path, silent)
    assert path.read_bytes() == b"damaged"


def test_partial_downloads_survive_an_interruption(tmp_path):
    class Stopped(Place):
        def read(self, folder, progress):
            (folder / "toy.bin.part").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_entry(make_entry(), [Stopped("example", {})], tmp_path / "toy.npz", silent)
    place = Place("example", ARRAYS)
    seen = []
    place.read = lambda folder, progress: seen.extend(p.name for p in folder.iterdir()) or ARRAYS
    fetch_entry(make_entry(), [place], tmp_path / "toy.npz", silent)
    assert seen == ["toy.bin.part"]


def test_two_fetches_of_one_set_make_one_request(tmp_path):
    started = threading.Barrier(2)
    place = Place("example", ARRAYS)
    results = []

    def one():
        started.wait()
        results.append(fetch_entry(make_entry(), [place], tmp_path / "toy.npz", silent).source)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["cache", "example"]
    assert place.asked == 1


def test_a_view_fetches_its_base(tmp_path, monkeypatch):
    place = Place("example", ARRAYS)
    toy = make_entry()
    view = DatasetEntry(**{**vars(toy), "name": "toy-mini", "train": 3, "base": "toy"})
    monkeypatch.setattr(catalogue, "ENTRIES", {"toy": toy, "toy-mini": view})
    monkeypatch.setattr(module, "make_sources", lambda entry: [place])
    assert fetch("toy-mini", root=tmp_path).path == tmp_path / "toy.npz"
    assert fetch("toy", root=tmp_path).source == "cache"
    mini, whole = load("toy-mini", root=tmp_path), load("toy", root=tmp_path)
    assert mini.train_images.tolist() == ARRAYS["train_images"][:3].tolist()
    assert mini.train_labels.tolist() == [0, 1, 1]
    assert mini.test_images.equal(whole.test_images)
    assert mini.train_images.untyped_storage().nbytes() == 3 * 12
    assert len(whole.train_labels) == 4


def test_sets_that_need_no_fetching(tmp_path):
    assert fetch("fashion-mini", root=tmp_path).source == "bundled"
    assert fetch("digits", root=tmp_path).source == "scikit-learn"
    assert all(fetch(name).path.is_file() for name in ("fashion-mini", "mnist01", "digits"))
    assert list(tmp_path.iterdir()) == []


def test_the_write_leaves_no_other_file(tmp_path):
    write(tmp_path / "toy.npz", ARRAYS)
    assert [p.name for p in tmp_path.iterdir()] == ["toy.npz"]
