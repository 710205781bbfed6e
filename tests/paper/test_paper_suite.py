import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from paper_examples import count, fail, make_item

from lastbit.execution.pool import local_pool
from lastbit.paper import suite
from lastbit.paper.catalogue import ITEMS
from lastbit.paper.item import Work
from lastbit.paper.suite import run_items, traceback_of


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
