"""The split of the variance and the least gains, as the page shows them."""

import pytest
from report_examples import make_empty_study, make_study, make_variance

from lastbit.report.study.spread import gain_chart, gain_figure, variance_figure
from lastbit.report.study.tables import accuracy_table, pooled_table, variance_note, variance_table
from lastbit.report.table import small_line


def test_the_bar_has_the_stored_shares_in_one_order():
    figure = variance_figure(make_study())
    assert [(row["part"], row["share"]) for row in figure.rows] == [
        ("test set", 0.82),
        ("batch order", 0.145),
        ("last bit", 0.035),
    ]
    assert figure.title == "The variance of one run’s test accuracy: test set 82 %, batch order 14 % and last bit 4 %"
    assert variance_table(make_study()).rows[:2] == [
        ["test set", "0.81", "0.57 to 1.62", "82 %"],
        ["batch order", "0.34", "0.24 to 0.68", "14 %"],
    ]
    assert "negative" not in figure.note


def test_what_is_cut_guessed_or_left_out_is_reported():
    split = make_variance()
    split |= {"test_set_by": "binomial", "dropped_seeds": 2, "batch_order": split["batch_order"] | {"truncated": True}}
    note = variance_figure(make_study(variance=split)).note
    assert "The estimate for batch order came out negative and is set to 0." in note
    assert "binomial’s" in note
    assert "2 seed(s) with a missing run" in note


def test_sources_are_told_from_the_spreads_in_the_verdict_that_have_other_numbers():
    luck = {"last_bit": {"std": 0.203, "examples": 2000, "at_most": False}, "batch_order": None}
    verdict = "On these 2,000 examples, independent errors alone would give 0.20."
    note = variance_note(make_study(variance=make_variance() | {"luck": luck}, verdict=verdict))
    assert "Test set: how far another test set of this size would move all runs together." in note
    assert "The 0.20 points in the verdict are something else: how far independent errors" in note
    assert "Batch order: without the last bit, which the 0.37 points between single runs contain." in note
    assert "something else" not in variance_note(make_study())  # of results from before the verdict spoke of it
    assert variance_note(make_empty_study()) == ""
    silent = make_study(variance=make_variance() | {"luck": luck}, verdict="Last-bit noise left every run as it was.")
    assert "in the verdict" not in variance_note(silent)


def test_the_seed_of_a_training_that_does_not_say_what_it_decides_is_a_seed():
    study = make_study() | {"seed_decides": "the seed"}
    assert [row[0] for row in variance_table(study).rows] == ["test set", "seed", "last bit"]
    assert "Seed: without the last bit" in variance_note(study)
    assert pooled_table(study).rows[1][0] == "seed, over all noises"
    assert "every run with its own seed" in gain_figure(study).note
    assert "a column one seed." in accuracy_table(study).note


def test_without_parts_there_is_a_reason():
    assert "at least two noises at one seed" in variance_figure(make_empty_study()).note
    split = make_variance()
    still = {name: split[name] | {"std": 0.0, "share": None} for name in ("batch_order", "last_bit")}
    figure = variance_figure(make_study(variance=split | still | {"test_set": None}))
    assert (figure.is_drawn, figure.note.startswith("Every run has the same value")) == (False, True)
    assert not gain_figure(make_empty_study()).is_drawn


def test_an_interval_of_no_width_is_put_in_words():
    still = {"last_bit": make_variance()["last_bit"] | {"std": 0.0, "lower": 0.0, "upper": 0.0, "share": 0.0}}
    rows = variance_table(make_study(variance=make_variance() | still)).rows
    assert rows[-1] == ["last bit", "0.00", "no run differed", "0 %"]
    assert variance_table(make_empty_study()).rows == []


def test_least_gains_are_drawn_by_number_with_the_spreads_interval():
    study = make_study()
    figure = gain_figure(study)
    (curve,) = figure.rows
    assert curve["x"] == [2, 3, 4, 6, 8, 12, 20, 50]
    assert figure.title == "With 6 runs of each recipe, gains below 0.86 points mostly go unseen"  # 2.1 / √6
    # The example's interval is 0.6 to 3 times its spread.
    assert curve["low"][3] == pytest.approx(0.6 * 2.1 / 6**0.5, rel=1e-4)
    assert curve["high"][3] == pytest.approx(3 * 2.1 / 6**0.5, rel=1e-4)
    assert "The noise floor is 0.45 points" in figure.note


def test_a_floor_of_0_is_none():
    assert "noise floor" not in gain_figure(make_study(noise_floor=0.0)).note


def test_without_an_interval_there_is_no_band():
    (curve,) = gain_chart({"10": 1.0, "2": 3.0}, "gain").rows
    assert (curve["x"], curve["y"]) == ([2, 10], [3.0, 1.0])
    assert "low" not in curve


def test_no_table_gives_runs_that_do_not_differ_an_interval():
    still = {"std": 0.0, "lower": 0.0, "upper": 0.0, "dof": 2.0}
    study = make_study()
    study["std"]["noise"] |= {"pooled": still, "per_seed": {str(seed): still for seed in study["seeds"]}}
    assert pooled_table(study).rows[0][1:3] == ["0.00", "no run differed"]
    assert [small_line(cell) for cell in accuracy_table(study).feet[0][1:-1]] == ["no run differed"] * len(
        study["seeds"]
    )
    cut = {"batch_order": make_variance()["batch_order"] | still | {"truncated": True}}
    assert variance_table(make_study(variance=make_variance() | cut)).rows[1][2] == "–"
