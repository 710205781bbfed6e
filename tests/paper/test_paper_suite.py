import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_examples import count, fail, make_item

from lastbit.execution.pool import local_pool
from lastbit.paper import suite
from lastbit.paper.catalogue import ITEMS
from lastbit.paper.item import Cost, Work
from lastbit.paper.suite import Needs, check_data, check_room, needs, run_items, traceback_of


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_items_with_trainings_get_the_executor_and_others_are_jobs_of_it(threads, tmp_path):
    items = [make_item("plain"), make_item("training", trains=True)]
    ended = {each.item.id: each for each in run_items(items, "smoke", executor=threads, directory=tmp_path)}
    results = {id: each.made.result for id, each in ended.items()}
    assert {id: result["helped"] for id, result in results.items()} == {"plain": False, "training": True}
    assert {id: result["where"] for id, result in results.items()} == {id: str(tmp_path / id) for id in results}
    assert all(result["powers"] == [1, 2, 4, 8] for result in results.values())
    assert all(each.made.seconds >= 0 and each.made.fingerprint["threads"] == 1 for each in ended.values())


def test_one_worker_is_enough_for_trainings_beside_other_items(tmp_path):
    items = [make_item("one", trains=True), make_item("two"), make_item("three", trains=True)]
    with local_pool(1) as executor:
        ended = list(run_items(items, "smoke", executor=executor, directory=tmp_path))
    assert {each.item.id for each in ended} == {"one", "two", "three"}
    assert all(each.made.result["powers"] == [1, 2, 4, 8] for each in ended)


@pytest.mark.parametrize("trains", [False, True])
def test_an_item_that_raises_takes_no_other_along(threads, tmp_path, trains):
    items = [make_item("bad", run=fail, trains=trains), make_item("good", run=count, trains=trains)]
    ended = {each.item.id: each for each in run_items(items, "smoke", executor=threads, directory=tmp_path)}
    assert ended["good"].error is None
    assert ended["bad"].made is None
    assert "in fail\n" in traceback_of(ended["bad"].error)
    assert "RuntimeError: the kernel melted" in traceback_of(ended["bad"].error)


@pytest.mark.parametrize("part", ["claims", "draw"])
def test_an_item_whose_claims_or_drawings_cannot_be_made_has_failed(threads, tmp_path, part):
    items = [replace(make_item("bad"), **{part: lambda result: result["nothing"]}), make_item("good")]
    ended = {each.item.id: each for each in run_items(items, "smoke", executor=threads, directory=tmp_path)}
    assert isinstance(ended["bad"].error, KeyError)
    assert ended["good"].error is None


def test_what_interrupted_trainings_took_is_counted(monkeypatch, tmp_path):
    clock = iter([10.0, 15.0, 100.0, 102.0, 200.0, 203.0])  # begun and ended
    monkeypatch.setattr(suite.time, "perf_counter", lambda: next(clock))
    work = Work(tmp_path / "work")
    with pytest.raises(RuntimeError):
        suite.make(make_item(run=fail, trains=True), "smoke", work)
    assert suite.make(make_item(trains=True), "smoke", work).seconds == 7.0
    # An item without trainings begins anew every time.
    assert suite.make(make_item(), "smoke", work).seconds == 3.0


@pytest.mark.parametrize("name", ITEMS)
def test_every_item_can_be_sent_to_a_worker(name):
    assert parts(pickle.loads(pickle.dumps(ITEMS[name]))) == parts(ITEMS[name])


def parts(item):
    """An item's fields; a function with its first arguments filled in equals only itself, so it is taken apart."""
    return {
        name: (value.func, value.args, value.keywords) if isinstance(value, partial) else value
        for name, value in vars(item).items()
    }


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
    monkeypatch.setattr(suite, "available_memory_mib", lambda: 2048)
    check_room(replace(NOTHING, memory_mib=2048), directory=tmp_path, scale="paper")
    with pytest.raises(ValueError, match=r"scale 'paper' needs about 2.0 GiB of memory on these workers, 2.0 GiB are"):
        check_room(replace(NOTHING, memory_mib=2049), directory=tmp_path, scale="paper")
    check_room(replace(NOTHING, memory_mib=2049), directory=tmp_path, scale="paper", memory=False)
    monkeypatch.setattr(suite, "available_memory_mib", lambda: None)
    check_room(replace(NOTHING, memory_mib=10**9), directory=tmp_path, scale="paper")


def test_too_little_disk_space_is_reported_with_the_estimate(tmp_path):
    with pytest.raises(ValueError, match=r"scale 'laptop' needs about 976562.5 GiB of disk space, .* are free at"):
        check_room(replace(NOTHING, disk_mib=10**9), directory=tmp_path / "not" / "yet", scale="laptop")
