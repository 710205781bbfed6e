"""Stored results of formats 2, whose metrics are among a trial's columns, and 3, with other names, are still read."""

import json
from pathlib import Path

import pytest

from lastbit.errors import LastbitError
from lastbit.report.study.account import standings
from lastbit.report.study.spread import accuracy_figure
from lastbit.report.study.stored import as_stored
from lastbit.report.study.tables import trials_table

STORED = Path(__file__).parents[2] / "results" / "resnet20-gpu" / "results.json"


@pytest.fixture
def old():
    content = json.loads(STORED.read_text(encoding="utf-8"))
    assert content["format"] == 2
    return content


def nested(study):
    """The same results as format 3 has them."""
    names = ("epoch", "lr", "gradient_fluctuation", "test_accuracy", "test_loss", "train_loss")
    trials = [
        {**{name: row[name] for name in row.keys() - set(names)}, "metrics": {name: row[name] for name in names}}
        for row in study["trials"]
    ]
    return {**study, "format": 3, "trials": trials}


def test_both_formats_draw_the_same(old):
    before, after = as_stored([old, nested(old)])
    assert accuracy_figure(before).rows == accuracy_figure(after).rows
    assert [row["value"] for row in accuracy_figure(before).rows] == [row["test_accuracy"] for row in old["trials"]]
    assert trials_table(before) == trials_table(after)
    assert trials_table(before).rows[0][4] == f"{old['trials'][0]['train_loss']:.4g}"


def test_the_numerics_of_seeds_have_other_names_since_format_4(old):
    groups = [{"proof": "ab", "seeds": [1, 2]}, {"proof": None, "seeds": [3]}]
    renamed = [{"bit_fingerprint": group["proof"], "seeds": group["seeds"]} for group in groups]
    new = {name: content for name, content in nested(old).items() if name != "arithmetic"}
    before, after = as_stored([nested(old) | {"arithmetic": groups}, new | {"format": 4, "numerics": renamed}])
    assert standings(before) == standings(after)
    assert "seeds 1 and 2 on ab" in standings(before)[1].text
    for damaged in (7, [7], [{"seeds": [1]}], [{"proof": 7, "seeds": [1]}]):
        with pytest.raises(LastbitError, match="numerics"):
            as_stored([nested(old) | {"arithmetic": damaged}])


@pytest.mark.parametrize("name", ["seed", "noise"])
def test_results_in_which_a_metric_overwrote_a_column_are_refused(old, name):
    old["trials"][1][name] = 99.0
    with pytest.raises(LastbitError, match=f"a metric called {name} overwrote the trials' own: the command that made"):
        as_stored([old])
