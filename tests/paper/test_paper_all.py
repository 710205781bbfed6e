"""`lastbit paper run all --scale smoke`, from the results that the tests of the items share."""

import json
import sys

import pytest

from lastbit.cli.main import main
from lastbit.paper.catalogue import ITEMS


@pytest.fixture(scope="module")
def whole(made, smoke_results):
    """The directory once every item is in it."""
    seconds = {name: made(name).seconds for name in ITEMS}
    smoke_results.write_index({})
    return smoke_results.root, seconds


def test_all_items_at_smoke_are_listed_and_drawn(whole, capsys, monkeypatch, record_property):
    directory, seconds = whole
    arguments = ["lastbit", "paper", "run", "all", "--scale", "smoke", "--out", str(directory), "--json", "-"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    said = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert [each["id"] for each in said] == list(ITEMS)
    # Nothing was run again.
    assert {each["id"]: each["seconds"] for each in said} == seconds
    assert all(each["claims"] for each in said)
    assert json.loads((directory / "index.json").read_text())["items"] == said
    assert 1e6 < (directory / "paper.html").stat().st_size < 10 * 2**20
    record_property("paper-smoke-seconds", sum(seconds.values()))


def test_all_items_at_smoke_take_less_than_five_minutes_of_two_cores(whole):
    _, seconds = whole
    assert sum(seconds.values()) < 2 * 300
