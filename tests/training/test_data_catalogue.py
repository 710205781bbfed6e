import re
from pathlib import Path

import pytest

import lastbit.training.data as package
from lastbit.training.data.catalogue import ENTRIES, Home
from lastbit.training.data.sources import PublicHost, make_sources

FOLDER = Path(package.__file__).parent / "bundled"


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_an_entry_is_complete(entry):
    assert ENTRIES[entry.name] is entry
    assert set(entry.digests) >= {"train_images", "train_labels"}
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in entry.digests.values())
    assert len(set(entry.digests.values())) == len(entry.digests)
    assert entry.licence
    assert bool(entry.sources) == (entry.home is Home.CACHE)


def test_public_hosts_come_before_packages():
    for entry in ENTRIES.values():
        sources = make_sources(entry)
        kinds = [isinstance(source, PublicHost) for source in sources]
        assert kinds == sorted(kinds, reverse=True)
        assert len({source.name for source in sources}) == len(kinds)
    assert all(isinstance(make_sources(ENTRIES[name])[0], PublicHost) for name in ("mnist", "fashion-mnist", "cifar10"))


def test_every_public_file_has_a_checksum_and_a_limit():
    hosts = [source for entry in ENTRIES.values() for source in make_sources(entry) if isinstance(source, PublicHost)]
    for file in [file for host in hosts for file in host.files]:
        assert re.fullmatch("md5:[0-9a-f]{32}", file.checksum)
        assert 0 < file.limit <= 2**28
        assert "?" not in file.name
        assert "/" not in file.name


@pytest.mark.parametrize("base", ["cifar10", "fashion-mnist"])
def test_a_view_is_its_base_with_fewer_training_images(base):
    view, whole = ENTRIES[f"{base}-5k"], ENTRIES[base]
    assert (view.base, view.stored, whole.stored) == (base, base, base)
    assert (view.train, view.test) == (5000, whole.test)
    assert (view.digests, view.sources, view.shape, view.classes) == (
        whole.digests,
        whole.sources,
        whole.shape,
        whole.classes,
    )


def test_bundled_sets_are_small_and_their_licences_lie_beside_them():
    assert {path.name for path in FOLDER.iterdir()} == {
        "fashion-mini.npz",
        "mnist01.npz",
        "LICENSE-fashion-mnist",
        "LICENSE-mnist01",
    }
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_100_000
    for licence, holder in (("fashion-mnist", "Zalando SE"), ("mnist01", "Juan Cazala")):
        text = (FOLDER / f"LICENSE-{licence}").read_text()
        assert f"Copyright (c) 20{'17' if 'Z' in holder else '15'} {holder}" in text
        assert "Permission is hereby granted, free of charge" in text
