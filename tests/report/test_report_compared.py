"""The page of a comparison: its words, its tables and its charts, from stored numbers."""

import json
import re
from html import unescape

import numpy as np
import pytest

import lastbit as lb
from lastbit.report.comparison import comparison_figures, difference_table, sides_table, write_comparison
from lastbit.report.comparison.page import comparison_page
from lastbit.report.comparison.stored import as_compared, decimals, mcnemar_sentence
from lastbit.report.page import render
from lastbit.storage.files import to_json

A, B = [[93.1, 93.4, 92.9, 93.3], [93.0, 93.6, 93.1, 93.2]], [[92.8, 93.2, 93.0, 92.7], [92.9, 93.0, 92.8, 92.8]]


def compared(a=A, b=B, paired=None, **changes):
    return as_compared(lb.compare(a, b, paired=paired).as_json() | changes)


def with_examples():
    test = {"kind": "paired t", "difference": 0.3, "standard_error": 0.2, "dof": 40.0, "t": 1.5, "p": 0.1}
    pairs = [{"seed": 1, "noise": "k=1", "only_a": 9, "only_b": 1, "p": 0.02}, {"p": 0.5}]
    examples = {"examples": 100, "any_test_set": test | {"lower": -0.1, "upper": 0.7}, "pairs": pairs}
    return compared(paired=True, unit="points", examples=examples | {"pairs_that_differ": 1})


def test_the_page_says_doubts_first_then_the_finding():
    content = compared([[1.0], [1.5], [1.2]], [[2.0], [2.4], [2.2]])
    text = unescape(re.sub("<[^>]+>", " ", render(comparison_page(content), libraries="").partition("chart-data")[0]))
    doubt = text.index("All runs compared share one seed")
    assert doubt < text.index(content["finding"])
    assert content["verdict"] == f"{content['doubts'][0]} {content['finding']}"
    assert "None" not in text
    assert "nan" not in text


def test_the_page_holds_all_it_draws(tmp_path):
    write_comparison(compared(paired=True), tmp_path / "compare.html")
    html = (tmp_path / "compare.html").read_text(encoding="utf-8")
    specs = json.loads(re.search(r'id="chart-data">(.*?)</script>', html)[1])["specs"]
    assert set(specs) == {"compare-runs", "compare-difference", "compare-gain"}
    for place in specs:
        assert f'id="{place}"' in html


def test_each_run_is_a_point_and_each_pair_a_bar():
    runs, difference, gain = comparison_figures(compared(paired=True))
    assert sorted(row["value"] for row in runs.rows) == sorted(np.ravel([A, B]))
    bars = [(row["low"], row["high"]) for row in runs.chart.data["spans"]]
    assert np.allclose(bars, np.sort(np.transpose([np.mean(A, 0), np.mean(B, 0)])))
    assert runs.title == "a is above b at 4 of 4 seeds"
    assert [row["group"] for row in difference.rows] == ["of the runs"]
    assert gain.rows[0]["x"][0] == 2


def test_without_pairs_the_means_are_ticks():
    runs = comparison_figures(compared())[0]
    assert [row["value"] for row in runs.chart.data["means"]] == pytest.approx([np.mean(A), np.mean(B)])
    assert runs.title.startswith("a comes to 93.20 on average, b to 92.90")


def test_the_title_of_the_interval_says_whether_it_holds_zero():
    assert comparison_figures(compared(A, A[::-1]))[1].title.endswith("holds 0")
    moved = [[value + 5 for value in row] for row in A]
    assert comparison_figures(compared(moved))[1].title.endswith("lies clear of 0")
    assert comparison_figures(compared(B, moved))[1].title.endswith("lies clear of 0")


def test_the_noise_floor_is_the_band():
    content = compared()
    floor = content["noise_floor"]
    assert comparison_figures(content)[1].chart.data["bands"] == [{"low": -floor, "high": floor}]
    flat = compared([93.1, 93.4, 92.9], [92.8, 93.2, 93.3])
    assert flat["noise_floor"] is None
    assert "rect" not in to_json(comparison_figures(flat)[1].spec())
    assert "grey band" not in comparison_figures(flat)[1].note


def test_tables_name_tests_runs_and_what_is_not_counted():
    content = compared([[1.0, np.nan, 3.0], [2.0, 2.5, 3.5]], [[1.0, 2.0, 2.5], [1.5, 2.0, 3.0]], paired=True)
    assert sides_table(content).rows[0][2:] == ["3", "5", "run 2 of noise 1 (nan)"]
    assert sides_table(content).rows[1][2:] == ["3", "6", "none"]
    labels = [row[0] for row in difference_table(content).rows]
    assert labels == ["pairs of seeds (t)", "two samples (Welch’s t)", "permutations (flipped signs, all)"]
    assert difference_table(content).rows[0][3] == "2 degrees of freedom"
    assert difference_table(content).rows[2][3] == "p ≥ 0.25"


def test_the_examples_add_an_interval_and_a_sentence():
    content = with_examples()
    assert difference_table(content).rows[-1][1:] == ["-0.10 to 0.70", "0.100", "40 degrees of freedom"]
    assert mcnemar_sentence(content).startswith("Of the 2 pairs of single runs with one seed and noise")
    assert "tells 1 apart at 5 %" in mcnemar_sentence(content)
    figure = comparison_figures(content)[1]
    assert [(row["group"], row["high"]) for row in figure.chart.data["spans"]][1] == ("over other test sets", 0.7)
    assert mcnemar_sentence(compared()) == ""


@pytest.mark.parametrize(
    ("unit", "error", "places"), [("points", 0.2, 2), ("", 0.0123, 3), ("", 12.0, 0), ("", 0.0, 2)]
)
def test_numbers_have_the_digits_of_their_error(unit, error, places):
    assert decimals({"unit": unit, "standard_error": error, "difference": 0.0}) == places


def test_what_does_not_vary_has_no_gain_to_draw():
    assert not comparison_figures(compared([1.0, 1.0], [1.0, 1.0]))[2].is_drawn
    tiny = comparison_figures(compared([1.0, 2.0, 3.0], [1.0, 2.0, 3.0 + 1e-9]))[2]
    assert tiny.title == "No number of runs that anybody makes would show so small a difference"


def test_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="this is not the comparison of two recipes: it lacks a, b, difference"):
        write_comparison({"verdict": "good"}, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_from_before_there_were_moves_has_its_page(tmp_path):
    content = lb.compare(A, B, paired=True).as_json()
    del content["moves"]
    write_comparison(content, tmp_path / "compare.html")
    assert (tmp_path / "compare.html").is_file()


def test_a_single_degree_of_freedom_and_a_floor_of_0():
    content = compared({1: 93.0, 2: 93.5}, {1: 92.0, 2: 92.9}, noise_floor=0.0)
    assert difference_table(content).rows[0][3] == "1 degree of freedom"
    assert "noise floor" not in comparison_figures(content)[1].note


def test_an_interval_over_other_test_sets_that_is_held_to_this_one_says_so():
    content = with_examples()
    assert difference_table(content).rows[-1][0] == "over other test sets"
    content["examples"]["any_test_set"] |= {end: content["paired"][end] for end in ("lower", "upper")}
    assert difference_table(content).rows[-1][0] == "over other test sets (not narrower than on this test set)"


def test_the_table_shows_what_is_compared():
    """The fourth seed of the second recipe has no run, so that of the first has no partner."""
    content = compared(
        {1: [93.1, 93.0], 2: [93.4, 93.6], 3: [92.9, 93.1], 4: [99.0, 98.0]},
        {1: [92.8, 92.9], 2: [93.2, 93.0], 3: [93.0, 92.8], 4: [np.nan, np.nan]},
    )
    first, second = sides_table(content).rows
    assert first[1:] == [f"{np.mean([93.1, 93.0, 93.4, 93.6, 92.9, 93.1]):.3f}", "3", "6", "seed 4 (not compared)"]
    assert second[2:4] == ["3", "6"]
    assert "with 3 seeds (6 runs) of each" in content["finding"]
    assert "Only common seeds are compared, without seed 4 of a." in content["finding"]
    assert content["a"]["runs"] == 8
    whole = compared(paired=True)
    assert "are compared" not in whole["finding"]
    gaps = compared([1.0, 2.0, np.nan, 4.0], [1.5, np.inf, 3.5, 4.2], paired=True)
    assert "Only whole pairs are compared, without run 2 of a and run 3 of b." in gaps["finding"]
    assert sides_table(whole).rows[0][2:] == ["4", "8", "none"]
