import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lastbit.training.data import DamagedDataError, MissingDataError, inventory, load
from lastbit.training.data import loading as module
from lastbit.training.data.catalogue import ENTRIES


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("fashion-mini", (1, 28, 28), 10), ("mnist01", (1, 28, 28), 2), ("digits", (1, 8, 8), 10)],
)
def test_sets_at_hand_have_the_promised_form(name, shape, classes, tmp_path):
    dataset = load(name, root=tmp_path)
    assert dataset.name == name
    for images, labels in (
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
    ):
        assert images.dtype is torch.uint8
        assert labels.dtype is torch.int64
        assert images.shape == (len(labels), *shape)
        assert labels.unique().tolist() == list(range(classes))
    assert len(dataset.classes) == len(set(dataset.classes)) == classes


def test_fashion_mini_begins_as_fashion_mnist_does():
    dataset = load("fashion-mini")
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (4000, 2000)
    # The first labels of Fashion-MNIST, as its users know them: an ankle boot, a T-shirt, ...
    assert dataset.train_labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert dataset.test_labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert dataset.classes[9] == "Ankle boot"
    assert dataset.classes[0] == "T-shirt/top"


def test_mnist01_is_zeros_then_ones_and_its_own_test_set():
    dataset = load("mnist01")
    assert dataset.train_labels.bincount().tolist() == [1001, 1127]
    assert dataset.train_labels.equal(dataset.train_labels.sort().values)
    assert dataset.test_images.equal(dataset.train_images)
    assert dataset.test_labels.equal(dataset.train_labels)
    # A one is a stroke in the middle, a zero a ring about it: a rule of one pixel block tells most apart.
    middle = dataset.train_images[:, 0, 12:16, 12:16].float().mean((1, 2))
    assert ((middle > 100).long() == dataset.train_labels).double().mean() > 0.95


def test_digits_are_scikit_learns_in_its_order():
    dataset, bunch = load("digits"), load_digits()
    images = torch.cat([dataset.train_images, dataset.test_images])[:, 0]
    assert np.array_equal(images.numpy(), bunch.images)
    assert torch.cat([dataset.train_labels, dataset.test_labels]).tolist() == bunch.target.tolist()
    assert len(dataset.test_labels) == 500


def test_arrays_of_one_load_are_not_those_of_another():
    first = load("mnist01")
    first.train_images.zero_()
    assert load("mnist01").train_images.any()


@pytest.mark.parametrize("name", ["cifar10", "fashion-mnist-5k"])
def test_a_missing_set_says_which_command_brings_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("LASTBIT_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match=f"run `lastbit data fetch {name}`$"):
        load(name)
    spaced = tmp_path / "my data"
    with pytest.raises(ValueError, match=re.escape(f"run `lastbit data fetch {name} --root '{spaced}'`")):
        load(name, root=spaced)


def test_a_damaged_set_is_named_with_the_command_that_replaces_it(tmp_path):
    (tmp_path / "cifar10.npz").write_bytes(b"PK\x03\x04")
    command = f"lastbit data fetch cifar10-5k --root {tmp_path}"
    with pytest.raises(DamagedDataError, match=re.escape(str(tmp_path / "cifar10.npz"))) as caught:
        load("cifar10-5k", root=tmp_path)
    assert str(caught.value).endswith(f": run `{command}` to replace it")
    assert "\n" not in str(caught.value)


def test_a_damaged_bundle_asks_for_a_new_installation(tmp_path, monkeypatch):
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / "mnist01.npz").write_bytes(b"")
    monkeypatch.setattr(module.resources, "files", lambda package: tmp_path)
    with pytest.raises(DamagedDataError, match=r"mnist01\.npz is damaged .*: install lastbit again$"):
        load("mnist01")


def test_other_digits_than_scikit_learns_are_refused(monkeypatch):
    images, labels = load_digits(return_X_y=True)
    images[7, 7] += 1
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda return_X_y: (images, labels))
    with pytest.raises(DamagedDataError, match=r"train_images has SHA-256 .*: install scikit-learn again"):
        load("digits")


def test_an_unknown_name_gets_the_nearest_and_all():
    with pytest.raises(ValueError, match=r"no data set 'cifr10': did you mean cifar10 or cifar10-5k\?") as caught:
        load("cifr10")
    assert all(name in str(caught.value) for name in ("fashion-mini", "mnist01", "digits", "mnist-10k"))
    with pytest.raises(ValueError, match=r"no data set 'zzz'; data sets are fashion-mini, mnist01,"):
        load("zzz")


def by_name(root):
    return {item.name: item for item in inventory(root=root)}


def test_an_empty_folder_has_only_what_is_bundled(tmp_path):
    items = by_name(tmp_path / "none")
    assert list(items) == list(ENTRIES)
    assert {name for name, item in items.items() if item.state == "bundled"} == {"fashion-mini", "mnist01", "digits"}
    assert {item.state for item in items.values()} == {"bundled", "not fetched"}
    assert all((item.path is None) == (item.state == "not fetched") for item in items.values())
    assert not (tmp_path / "none").exists()


def test_a_damaged_file_is_said_to_be_for_the_set_and_its_view(tmp_path):
    (tmp_path / "cifar10.npz").write_bytes(b"cut short")
    items = by_name(tmp_path)
    assert [items[name].state for name in ("cifar10", "cifar10-5k")] == ["damaged", "damaged"]
    assert items["cifar10-5k"].path == tmp_path / "cifar10.npz"
    assert items["fashion-mnist"].state == "not fetched"


@pytest.mark.parametrize(("name", "size"), [("cifar10", 60_000 * 3073), ("digits", 1797 * 65)])
def test_sizes_count_pixels_and_labels(name, size, tmp_path):
    assert by_name(tmp_path)[name].bytes == size
