from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_examples import make_item

from lastbit.paper import needs as module
from lastbit.paper.item import Cost
from lastbit.paper.needs import Needs, check_data, check_room, needs

NOTHING = Needs(seconds=1.0, memory_mib=0, disk_mib=0, data=())


def item(id, trains=False, **cost):
    return make_item(id, trains=trains, cost=Cost(**{"seconds": 1.0, **cost}))


def test_the_memory_is_that_of_the_largest_that_can_meet():
    light, heavy = item("light", memory_mib=300), item("heavy", memory_mib=800)
    training = item("training", trains=True, memory_mib=500)
    assert needs([light, heavy], "smoke", workers=1).memory_mib == 800
    assert needs([light, heavy], "smoke", workers=2).memory_mib == 1100
    assert needs([light, heavy], "smoke", workers=8).memory_mib == 1100
    assert needs([light, training], "smoke", workers=3).memory_mib == 1500
    assert needs([light, heavy, training], "smoke", workers=2).memory_mib == 1300


def test_disk_adds_up_and_each_data_set_is_named_once():
    found = needs([item("a", disk_mib=3, data=("x", "y")), item("b", disk_mib=4, data=("y",))], "paper", workers=1)
    assert found.disk_mib == 7
    assert found.data == ("x", "y")


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=6), st.integers(1, 8), st.booleans())
def test_the_time_is_at_least_its_share_and_its_longest_item_and_at_most_the_whole(seconds, workers, trains):
    items = [item(str(i), seconds=each, trains=trains) for i, each in enumerate(seconds)]
    found = needs(items, "smoke", workers=workers).seconds
    assert found >= sum(seconds) / workers
    assert found <= sum(seconds) * (1 + 1e-9)
    assert trains or found >= max(seconds)


def test_nothing_takes_nothing():
    assert needs([], "smoke", workers=2) == Needs(seconds=0.0, memory_mib=0, disk_mib=0, data=())


def test_missing_data_is_named_with_the_command_that_brings_it(monkeypatch, tmp_path):
    monkeypatch.setenv("LASTBIT_DATA", str(tmp_path))
    check_data(["fashion-mini"])
    with pytest.raises(ValueError, match=r"'cifar10' is not at .*`lastbit data fetch cifar10`; data set 'fashion-m"):
        check_data(["fashion-mini", "cifar10", "fashion-mnist"])


def test_too_little_memory_is_reported_with_the_estimate(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "available_memory_mib", lambda: 2048)
    check_room(replace(NOTHING, memory_mib=2048), directory=tmp_path, scale="paper")
    with pytest.raises(ValueError, match=r"scale 'paper' needs about 2.0 GiB of memory on these workers, 2.0 GiB are"):
        check_room(replace(NOTHING, memory_mib=2049), directory=tmp_path, scale="paper")
    check_room(replace(NOTHING, memory_mib=2049), directory=tmp_path, scale="paper", memory=False)
    monkeypatch.setattr(module, "available_memory_mib", lambda: None)
    check_room(replace(NOTHING, memory_mib=10**9), directory=tmp_path, scale="paper")


def test_too_little_disk_space_is_reported_with_the_estimate(tmp_path):
    with pytest.raises(ValueError, match=r"scale 'laptop' needs about 976562.5 GiB of disk space, .* are free at"):
        check_room(replace(NOTHING, disk_mib=10**9), directory=tmp_path / "not" / "yet", scale="laptop")
