"""PaperResults of the paper and series of sharpness as they may come from anywhere."""

import json
import random
import shutil
from pathlib import Path

import pytest
from fuzzing import as_bytes, check_line, damaged, deadline, inputs, mutated, run
from hypothesis import given
from hypothesis import strategies as st

from lastbit.paper.catalogue import ITEMS as ALL
from lastbit.paper.results import INDEX, PaperResults

LAPTOP = Path(__file__).parents[2] / "results" / "laptop"
ITEMS = ("table2", "table9", "figure3", "figure10", "theorem5.1")
SERIES = (
    "sharpness",
    "demo",
    "--scale",
    "smoke",
    "--set",
    "data.train=32",
    "--set",
    "data.test=8",
    "--set",
    "batch_size=32",
    "--steps",
    "3",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Some of the paper's items, and the index of all."""
    place = tmp_path_factory.mktemp("paper")
    for name in (*(f"{item}.json" for item in ITEMS), INDEX):
        shutil.copy(LAPTOP / name, place / name)
    return place


def alter(path, chance):
    """Replace a file by another; gives what it was."""
    sound = path.read_bytes()
    mutate = chance.random() < 0.7
    path.write_bytes(as_bytes(mutated(json.loads(sound), chance)) if mutate else damaged(sound, chance))
    return sound


@given(seed=st.integers(0, 2**32), item=st.sampled_from(ITEMS))
@inputs(200)
def test_altered_results_of_an_item_are_read_or_refused(seed, item, results):
    path = results / f"{item}.json"
    sound = alter(path, random.Random(seed))
    try:
        with deadline():
            PaperResults.reopen(results).load(ALL[item])
    except ValueError as error:
        check_line(error)
    path.write_bytes(sound)


@given(seed=st.integers(0, 2**32), name=st.sampled_from((*ITEMS, "index")))
@inputs(12)
def test_altered_results_of_the_paper_are_listed(seed, name, results):
    path = results / f"{name}.json"
    sound = alter(path, random.Random(seed))
    run("paper", "list", "--out", results)
    path.write_bytes(sound)


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A series of three steps, of which no page is drawn: that takes a hundred times as long."""
    place = tmp_path_factory.mktemp("sharpness") / "series"
    with pytest.MonkeyPatch.context() as undrawn:
        undrawn.setattr("lastbit.cli.sharpness._draw", lambda content, page: None)
        assert run(*SERIES, "--out", place).code == 0
        yield place


@given(seed=st.integers(0, 2**32))
@inputs(40)
def test_altered_series_go_on_or_are_refused(seed, series):
    chance = random.Random(seed)
    kept = {path: path.read_bytes() for path in series.iterdir() if path.is_file()}
    path = chance.choice(sorted(kept))
    lines = path.suffix in (".json", ".jsonl") and chance.random() < 0.6
    path.write_bytes(_with_a_line_mutated(kept[path], chance) if lines else damaged(kept[path], chance))
    run(*SERIES, "--out", series)
    for each, content in kept.items():
        each.write_bytes(content)


def _with_a_line_mutated(content, chance):
    lines = [content] if content.lstrip()[:2] == b"{\n" else content.splitlines()
    place = chance.randrange(len(lines))
    lines[place] = as_bytes(mutated(json.loads(lines[place]), chance))
    return b"\n".join(lines) + b"\n"
