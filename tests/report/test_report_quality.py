"""The spread on the test set, its luck and what an unlimited test set would show, as the page has them."""

from report_examples import make_study, make_variance

from lastbit.report.study.page import study_drawings
from lastbit.report.study.quality import quality_table, spread_figure
from lastbit.report.study.spread import accuracy_figure
from lastbit.report.study.tables import variance_note
from lastbit.statistics.quality import ASSUMED


def split(**changes):
    """A study whose last bit and batch order are split, as `results.json` holds it."""
    last_bit = {"std": 0.0, "lower": 0.0, "upper": 0.121, "luck": 0.196, "luck_by": "predictions", **changes}
    batch_order = last_bit | {"std": 0.318, "lower": 0.104, "upper": 1.23, "luck": 0.187}
    quality = {"last_bit": last_bit, "batch_order": batch_order}
    return make_study(variance=make_variance() | {"quality": quality, "quality_assumes": ASSUMED})


def test_the_chart_has_three_points_for_each_source():
    figure = spread_figure(split())
    assert figure.title == (
        "On an unlimited test set last-bit noise would move test accuracy by 0.00 points (95 % interval 0.00 to 0.12)"
    )
    points = {(row["group"], row["kind"]): row["value"] for row in figure.rows}
    std = make_study()["std"]
    assert points == {
        ("last-bit noise", "on this test set"): std["noise"]["pooled"]["std"],
        ("last-bit noise", "by independent errors alone"): 0.196,
        ("last-bit noise", "on an unlimited test set"): 0.0,
        ("batch order", "on this test set"): std["seed"]["pooled"]["std"],
        ("batch order", "by independent errors alone"): 0.187,
        ("batch order", "on an unlimited test set"): 0.318,
    }
    spans = {(row["group"], row["kind"]): (row["low"], row["high"]) for row in figure.chart.data["spans"]}
    assert spans["batch order", "on an unlimited test set"] == (0.104, 1.23)
    assert ("batch order", "by independent errors alone") not in spans
    assert ASSUMED in figure.note
    assert figure.is_drawn


def test_the_table_has_the_same_numbers():
    assert quality_table(split()).rows == [
        ["last-bit noise", "0.14", "0.20", "0.00", "0.00 to 0.12"],
        ["batch order", "0.37", "0.19", "0.32", "0.10 to 1.23"],
    ]


def test_a_bound_of_the_luck_has_no_estimate_and_is_called_one():
    figure, table = spread_figure(split(luck_by="churn")), quality_table(split(luck_by="churn"))
    assert figure.title == (
        "On an unlimited test set last-bit noise would move test accuracy by 0.00 to 0.12 points (95 % interval)"
    )
    assert {row["kind"] for row in figure.rows} == {"on this test set", "by independent errors alone"}
    assert "the second point is an upper bound and the third has no estimate" in figure.note
    assert table.rows[0][2:4] == ["at most 0.20", "–"]


def still():
    """A study in which the last bit left every prediction as it was, while batch order moved some."""
    study = split(lower=0.0, upper=0.0, luck=0.0)
    study["variance"]["quality"]["batch_order"] |= {"lower": 0.104, "upper": 1.23}
    study["std"]["noise"]["pooled"] |= {"std": 0.0, "lower": 0.0, "upper": 0.0}
    return study


def test_where_no_run_differed_there_is_no_interval():
    figure = spread_figure(still())
    assert figure.title == ("Last-bit noise left the test accuracy of every run as it was, so there is no interval")
    assert "A point at 0 without a line has no interval, since no run differed." in figure.note
    assert {row["group"] for row in figure.chart.data["spans"]} == {"batch order"}
    rows = quality_table(still()).rows
    assert [row[-1] for row in rows] == ["no run differed", "0.10 to 1.23"]
    assert "no run differed" not in spread_figure(split()).note


def test_equal_accuracies_of_different_predictions_keep_the_interval_of_what_they_show():
    study = still()
    study["variance"]["quality"]["last_bit"] |= {"upper": 0.121}
    assert quality_table(study).rows[0][-1] == "0.00 to 0.12"
    assert spread_figure(study).title.endswith("(95 % interval 0.00 to 0.12)")


def test_the_title_of_the_runs_says_that_they_are_of_this_test_set():
    title = "he last bit moves test accuracy by 0.14 points; batch order moves it by 0.37 points"
    assert accuracy_figure(split()).title == f"On this test set t{title}"
    assert accuracy_figure(make_study()).title == f"T{title}"


def test_they_lead_the_page_where_they_are_known():
    names = [part.name for part in study_drawings(split(), studies=1)]
    assert names[:3] == ["spread", "quality", "accuracy"]
    older = [part.name for part in study_drawings(make_study(), studies=1)]
    assert older[0] == "accuracy"
    assert "quality" not in older
    assert quality_table(make_study()).rows == []


def test_what_is_assumed_is_said_beside_the_sources_of_the_variance():
    assert variance_note(split()).endswith(ASSUMED)
    assert ASSUMED not in variance_note(make_study())
