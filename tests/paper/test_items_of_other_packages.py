"""An item that an installed package of somebody else's brings along."""

import os
import sys
from pathlib import Path

import pytest

from lastbit.storage.files import read_json

MODULE = """
from lastbit.paper.item import Cost, Item, claim, same_at_every_scale
from lastbit.paper.names import SCALES

def run(settings, work):
    return {"square": settings["n"] ** 2}

def claims(result):
    return [claim("A square is 9", published=9, measured=result["square"], holds=result["square"] == 9)]

def draw(result):
    return []

NINE = Item(
    id="figure-nine",
    title="A square",
    shows="Nothing of the paper.",
    scales=same_at_every_scale({"n": 3}, Cost(seconds=1.0)),
    published={"square": 9},
    run=run,
    claims=claims,
    draw=draw,
)
NOT_AN_ITEM = 9
"""
METADATA = "Metadata-Version: 2.1\nName: other\nVersion: 1\n"


@pytest.fixture
def other_package(tmp_path, warm_python):
    """A package as pip leaves it, on the path of the commands that the function returned runs."""

    def lastbit(entries, *arguments):
        information = tmp_path / "other-1.dist-info"
        information.mkdir(exist_ok=True)
        (tmp_path / "other_items.py").write_text(MODULE)
        (information / "METADATA").write_text(METADATA)
        (information / "entry_points.txt").write_text("[lastbit.paper_items]\n" + entries)
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-m", "lastbit", *map(str, arguments)]
        return warm_python.run(command, env=environment, cwd=tmp_path)

    return lastbit


def test_it_is_listed_after_the_papers_and_run_in_a_worker(other_package, tmp_path):
    entries = "figure-nine = other_items:NINE\n"
    out = tmp_path / "out"
    ran = other_package(
        entries, "paper", "run", "figure-nine", "theorem5.2", "--scale", "smoke", "--workers", 1, "--out", out
    )
    assert (ran.returncode, ran.stderr.count("Traceback")) == (0, 0), ran.stderr
    assert read_json(out / "figure-nine.json")["result"]["square"] == 9
    index = read_json(out / "index.json")["items"]
    assert [item["id"] for item in index] == ["theorem5.2", "figure-nine"]
    assert index[1]["claims"][0]["holds"] is True
    assert "A square is 9" in Path(out / "paper.html").read_text()


def test_what_is_no_item_or_cannot_be_imported_takes_no_other_along(other_package):
    entries = "a = other_items:NOT_AN_ITEM\nb = nowhere:ITEM\n"
    listed = other_package(entries, "paper", "list")
    assert listed.returncode == 0
    assert "figure11" in listed.stdout
    assert "the paper item other_items:NOT_AN_ITEM is no Item: 9" in " ".join(listed.stderr.split())
    assert "the paper item nowhere:ITEM cannot be imported: No module named 'nowhere'" in " ".join(
        listed.stderr.split()
    )
