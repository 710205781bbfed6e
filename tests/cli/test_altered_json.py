"""Stored JSON that somebody altered is one line that names the place; what drawing raises then is a fault of ours."""

import json

import pytest

import lastbit as lb
from lastbit.errors import LastbitError
from lastbit.report.growth.page import as_growth
from lastbit.report.study.stored import as_stored
from lastbit.study.comparison import compare


def train(run):
    run.log(1, test_accuracy=80.0 + run.seed + 0.1 * (run.noise.k > 2))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Two studies and what their comparison holds."""
    root = tmp_path_factory.mktemp("compared")
    for name in "ab":
        study = lb.Study(root / name, train, noises=[lb.Scale(1), lb.Scale(3)], seeds=(1, 2), settings={"name": name})
        study.run()
        study.store_results()
    return root, compare(root / "a", root / "b").as_json() | {"gain": None}


ALTERED = [
    (lambda c: c["a"].pop("mean"), "it lacks a.mean"),
    (lambda c: c["a"].update(mean="high"), "a.mean is 'high', and it should be a valid number"),
    (lambda c: c["a"]["values"][1].update(value=[]), "a.values[1].value is [], and it should be a valid number"),
    (lambda c: c["interval"].pop(), "interval is [0.0], and it should have at least 2 items, not 1"),
    (lambda c: c["permutation"].update(p=2), "permutation.p is 2, and it should be less than or equal to 1"),
    (lambda c: c.update(least_detectable_gain={"x": 1.0}), "least_detectable_gain has 'x' for a number of runs"),
]


@pytest.mark.parametrize(("alter", "said"), ALTERED, ids=lambda value: value if isinstance(value, str) else "")
def test_an_altered_comparison_is_one_line_that_names_the_place(lastbit, compared, tmp_path, alter, said):
    content = json.loads(json.dumps(compared[1]))
    content["interval"] = [0.0, 0.0]
    alter(content)
    (tmp_path / "compare.json").write_text(json.dumps(content))
    code, out, err = lastbit("report", tmp_path)
    place = tmp_path / "compare.json"
    assert (code, out) == (2, "")
    assert err == f"lastbit: {place} does not hold what it should: this is not the comparison of two recipes: {said}\n"


def test_a_fault_of_drawing_is_no_altered_file(lastbit, compared, monkeypatch):
    def broken(*arguments, **options):
        raise KeyError("seed")

    monkeypatch.setattr("lastbit.report.study.write_report", broken)
    code, _, err = lastbit("report", compared[0])
    assert code == 1
    assert "KeyError: 'seed'\nlastbit: this is a fault of lastbit's own" in err
    assert "does not hold" not in err


@pytest.mark.parametrize("content", [[], None, 3, "x", {}, {"name": 1}])
def test_anything_else_is_refused_by_the_functions_too(content):
    with pytest.raises(LastbitError, match="these are not the results of a study"):
        as_stored([content])
    with pytest.raises(LastbitError, match="these are not the results of growth"):
        as_growth(content)
