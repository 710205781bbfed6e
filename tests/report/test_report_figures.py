"""Titles against the stored numbers, and what is drawn against what was stored."""

import pytest
from report_examples import LAYERS, STEPS, make_empty_study, make_study, make_trial

from lastbit.report.charts import Figure
from lastbit.report.study.page import comparison_figures, study_drawings
from lastbit.report.study.quality import spread_figure
from lastbit.report.study.spread import accuracy_figure
from lastbit.report.study.weights import comparison_figure, layer_figure, rel_l1_figure


def study_figures(study):
    return [drawing for drawing in study_drawings(study, studies=1) if isinstance(drawing, Figure)]


def _every(spec, key):
    """All values under a key, at any depth."""
    if isinstance(spec, dict):
        yield from ([spec[key]] if key in spec else [])
        for value in spec.values():
            yield from _every(value, key)
    elif isinstance(spec, list):
        for value in spec:
            yield from _every(value, key)


def test_rel_l1_says_where_it_ended_and_where_it_began():
    # growth * k * step²: k = 3 and 5, steps 1 and 100.
    figure = rel_l1_figure(make_study(), most_points=1000)
    assert figure.title == "RelL1 is between 3.0e-3 and 5.0e-3 after step 100; after step 1 it was at most 5.0e-7"
    assert figure.name == "rel-l1"
    assert "the k=1 run of the same seed" in figure.note


def test_rel_l1_draws_every_pair_at_every_step():
    rows = rel_l1_figure(make_study(), most_points=1000).spec()["datasets"]["rows"]
    assert {(row["noise"], row["seed"]) for row in rows} == {(k, s) for k in ("k=3", "k=5") for s in (1, 2)}
    assert all(row["x"] == list(STEPS) for row in rows)
    assert next(row for row in rows if row["noise"] == "k=5")["y"] == [5e-7, 4.5e-6, 5e-5, 5.12e-4, 5e-3]


@pytest.mark.parametrize(("dtype", "exponent"), [("float32", -24), ("float64", -53), ("bfloat16", -8)])
def test_rel_l1_is_seen_against_the_roundoff_of_its_number_format(dtype, exponent):
    spec = rel_l1_figure(make_study(settings={"dtype": dtype}), most_points=1000).spec()
    (level,) = spec["datasets"]["levels"]
    assert (level["level"], level["label"]) == (2.0**exponent, f"one rounding: 2^{exponent}")
    domain = next(iter(_every(spec["layer"][2]["encoding"]["y"], "domain")))
    assert domain[0] <= 2.0**exponent <= domain[1]


def test_without_a_known_dtype_there_is_no_roundoff_line():
    spec = rel_l1_figure(make_study(settings={}), most_points=1000).spec()
    assert "levels" not in spec["datasets"]


def test_rel_l1_stops_where_a_run_stops():
    study = make_study()
    study["rel_l1"] = [row for row in study["rel_l1"] if row["k"] == 3 or row["step"] < 100]
    title = rel_l1_figure(study, most_points=1000).title
    assert title.startswith("RelL1 is 3.0e-3 after step 100;")


def test_a_single_snapshot_has_an_end_and_no_beginning():
    title = rel_l1_figure(make_study(steps=(32,)), most_points=1000).title
    assert title == "RelL1 is between 3.1e-4 and 5.1e-4 after step 32"


def test_equal_weights_are_reported_in_words():
    figure = rel_l1_figure(make_study(growth=0.0), most_points=1000)
    assert not figure.is_drawn
    assert figure.title == "Every run’s weights are bit for bit those of its seed’s k=1 run, at every step"


def test_weights_that_are_nowhere_finite_are_reported_in_words():
    study = make_study()
    study["rel_l1"] = [row | {"value": None} for row in study["rel_l1"][:3]]
    figure = rel_l1_figure(study, most_points=1000)
    assert not figure.is_drawn
    assert figure.note.endswith("same step. 3 value(s) that were not finite are left out.")


def test_layers_name_the_nearest_and_the_farthest():
    figure = layer_figure(make_study(), most_points=1000)
    assert figure.title == "After step 100 the layers’ RelL1 ranges from 0 (first.weight) to 2.0e-3 (last.weight)"
    (choice,) = [param for param in figure.spec()["params"] if param["name"] == "chosen"]
    assert choice["bind"]["options"] == list(LAYERS)
    assert choice["value"] == "last.weight"


def test_a_single_layer_is_named_once():
    study = make_study(layers=("a", "b"))
    study["rel_l1_layers"] = [row for row in study["rel_l1_layers"] if row["layer"] == "b"]
    assert layer_figure(study, most_points=1000).title == "After step 100 RelL1 of b is 1.0e-3"


def test_many_layers_at_many_steps_are_thinned_and_it_is_reported():
    figure = layer_figure(make_study(steps=tuple(range(1, 51))), most_points=30)
    assert "Drawn are 10 of 50 measured steps." in figure.note
    assert all(len(row["x"]) == 10 for row in figure.rows)


def test_accuracy_says_both_spreads_and_draws_each_finished_run():
    figure = accuracy_figure(make_study())
    assert figure.title == "The last bit moves test accuracy by 0.14 points; batch order moves it by 0.37 points"
    assert "± one standard error of the test set (0.85 points) around the k=1 run" in figure.note
    drawn = {(row["kind"], row["group"]): row["value"] for row in figure.rows}
    assert drawn == {(f"k={k}", seed): 80 + seed + k / 100 for k in (1, 3, 5) for seed in (1, 2)}


def test_the_bars_are_one_sampling_error_around_the_first_noise():
    bars = accuracy_figure(make_study()).spec()["datasets"]["spans"]
    assert [(bar["group"], bar["kind"], bar["grey"]) for bar in bars] == [(1, "k=1", True), (2, "k=1", True)]
    assert [(bar["low"], bar["high"]) for bar in bars] == [
        pytest.approx((81.01 - 0.854, 81.01 + 0.854)),
        pytest.approx((82.01 - 0.854, 82.01 + 0.854)),
    ]


def test_a_diverged_run_has_no_point():
    trials = [make_trial(1, 1), make_trial(1, 3, status="diverged", diverged_at=40, test_accuracy=None)]
    assert [row["kind"] for row in accuracy_figure(make_study(trials=trials)).rows] == ["k=1"]


def test_accuracies_that_do_not_move_are_reported_as_such():
    study = make_study()
    study["std"]["noise"]["pooled"] = {"std": 0.0, "lower": 0.0, "upper": 0.0, "dof": 4.0}
    study["std"]["noise_over_seed"] = {"value": 0.0, "lower": 0.0, "upper": 0.0}
    assert accuracy_figure(study).title == (
        "At each seed all runs have the same test accuracy; batch order moves it by 0.37 points"
    )
    assert spread_figure(study).title == (
        "Last-bit noise makes none of the spread of test accuracy that batch order makes"
    )


def test_accuracy_with_one_seed_says_nothing_of_batch_order():
    study = make_study(seeds=(1,))
    study["std"]["seed"]["pooled"] = None
    study["sampling_error"] = None
    figure = accuracy_figure(study)
    assert figure.title == "The last bit moves test accuracy by 0.14 points"
    assert "test set" not in figure.note


def test_spread_says_the_share_and_its_interval():
    figure = spread_figure(make_study())
    assert figure.title == (
        "Last-bit noise alone makes 38 % of the spread that batch order makes (95 % interval 6 to 74 %)"
    )
    assert [(row["group"], row["value"]) for row in figure.rows] == [
        ("last-bit noise", 0.14),
        ("batch order", 0.37),
        ("test-set sampling", 0.854),
    ]
    assert "ddof 1" in figure.note
    assert "95 % chi-square" in figure.note


def test_comparison_names_the_farthest_first():
    still, grown = make_study("still", growth=1e-12), make_study("grown")
    figure = comparison_figure([still, grown], most_points=1000)
    assert figure.title == "The last bit comes to a RelL1 of 5.0e-3 in grown and 5.0e-8 in still by the last step"
    assert {row["study"] for row in figure.rows} == {"still", "grown"}


def test_comparison_of_many_names_the_ends_only():
    studies = [make_study(f"s{i}", growth=10.0 ** (-7 - i)) for i in range(5)]
    assert comparison_figure(studies, most_points=1000).title == (
        "The last bit comes to a RelL1 of between 5.0e-7 in s4 and 5.0e-3 in s0 by the last step"
    )


def test_comparison_tells_studies_of_one_name_apart():
    figure = comparison_figure([make_study(), make_study(growth=1e-9), make_empty_study()], most_points=1000)
    assert figure.title == ("The last bit comes to a RelL1 of 5.0e-3 in grown and 5.0e-5 in grown (2) by the last step")


def test_one_study_is_compared_with_nothing():
    assert comparison_figures([make_study()]) == []
    assert not comparison_figure([make_empty_study(), make_study(growth=0.0)], most_points=1000).is_drawn


def test_what_is_missing_is_reported_in_words_not_drawn():
    figures = study_figures(make_empty_study())
    assert not any(figure.is_drawn for figure in figures)
    assert all(figure.title and figure.note.endswith(".") for figure in figures)
    with pytest.raises(ValueError, match="accuracy"):
        figures[0].spec()


def test_a_chart_fits_its_place_on_the_page_and_carries_its_finding_in_a_file():
    figure = rel_l1_figure(make_study(), most_points=1000)
    page, picture = figure.spec(), figure.picture()
    assert page["width"] == "container"
    assert "title" not in page
    assert " ".join(picture["title"]["text"]) == figure.title
    assert " ".join(picture["title"]["subtitle"]) == figure.note
    assert page["layer"] == picture["layer"]
    assert page["datasets"] == picture["datasets"]
    assert picture["config"]["background"] == "white"


def test_axis_titles_fit_a_telephone():
    for figure in [*study_figures(make_study()), comparison_figure([make_study()], most_points=10)]:
        titles = {axis["title"] for axis in _every(figure.spec(), "axis") if axis and axis["title"]}
        assert titles
        # At some 6.5 pixels for each character, 34 take two thirds of a narrow screen: what the axis labels leave.
        assert max(map(len, titles)) <= 34


def test_more_noises_than_hues_get_a_graded_scheme():
    few, many = (accuracy_figure(make_study(ks=tuple(range(1, count, 2)))).spec() for count in (15, 17))
    assert not list(_every(few, "scheme"))
    assert set(_every(many, "scheme")) == {"viridis"}
