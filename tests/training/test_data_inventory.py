import pytest

from lastbit.training.data import inventory
from lastbit.training.data.catalogue import ENTRIES


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
