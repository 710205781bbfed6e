import json
import math

import pytest
from sharpness_examples import LAYERS, RECIPE, make_diverged_row, make_row, make_series

from lastbit.report.page import render
from lastbit.report.sharpness import write_sharpness
from lastbit.report.sharpness.charts import sharpness_figures
from lastbit.report.sharpness.page import series_method, series_standings, sharpness_page


def figures(**changes):
    return {figure.name: figure for figure in sharpness_figures(make_series(**changes))}


def points(figure):
    return {row["curve"]: dict(zip(row["x"], row["y"], strict=True)) for row in figure.rows}


def test_the_first_chart_holds_every_eigenvalue_in_units_of_the_edge_and_the_line_at_2():
    figure = figures()["normalised-sharpness"]
    assert points(figure) == {
        "largest eigenvalue": {0: 0.5, 10: 1.5, 20: 2.1, 30: 1.9, 40: 2.2},
        "eigenvalue 2": {0: 0.25, 10: 0.75, 20: 1.05, 30: 0.95, 40: 1.1},
    }
    assert figure.title == "The normalised sharpness is largest at step 40, 2.2"
    assert "with the edge 2/lr: gradient descent" in figure.note
    assert "Measured every 10 steps." in figure.note
    assert figure.spec()["datasets"]["levels"] == [{"level": 2.0, "label": "edge: 2", "corner": "beyond"}]


def test_the_loss_is_drawn_at_every_step_on_a_logarithmic_axis():
    figure = figures()["loss"]
    assert len(points(figure)["every step"]) == 41
    assert figure.title == "The training loss goes from 2.3 to 0.46, and rises in 12 of 40 steps"
    assert '"type": "log"' in json.dumps(figure.spec()["layer"])
    nearly_flat = figures(losses=[0.69, 0.68], rises=0)["loss"]
    assert '"type": "log"' not in json.dumps(nearly_flat.spec()["layer"])


def test_layers_and_flow_are_drawn_where_they_were_measured():
    assert list(figures()) == ["normalised-sharpness", "loss"]
    found = figures(layers=True, flow=True)
    assert list(found) == ["normalised-sharpness", "loss", "layers", "flow"]
    assert points(found["layers"])["linear"][20] == pytest.approx(2.1 / 4)
    assert set(points(found["layers"])) == set(LAYERS)
    assert found["layers"].title.startswith(
        "At step 40 the sharpest layer is hidden.0.0, at 1.1 of the whole network’s 2.2"
    )
    assert points(found["flow"])["RelL1"] == {10: 0.03, 20: 0.06, 30: 0.09, 40: 0.12}
    assert found["flow"].title.startswith("After step 40 the weights are 4.0e-2 of their norm away")
    assert "tolerance of 1.0e-5" in found["flow"].note


def test_batch_and_critical_sharpness_are_drawn_against_their_own_edges():
    series = make_series(batch=True)
    found = {figure.name: figure for figure in sharpness_figures(series)}
    assert list(found) == ["normalised-sharpness", "batch-sharpness", "critical", "loss"]
    batch = found["batch-sharpness"]
    assert points(batch)["batch sharpness, against small batches' edge"][30] == pytest.approx(1.9)
    assert points(batch)["sharpness, against full batches' edge"] == {0: 0.5, 10: 1.5, 20: 2.1, 30: 1.9, 40: 2.2}
    assert batch.title == "At step 40 batch sharpness is 2 (1.8 to 2.2), where 2 is the edge of small batches"
    assert "over 32 batches, 8 of the images measured on in each" in batch.note
    assert "The edge of small batches is 2(1-m)/lr: heavy ball, that of full ones 2/lr" in batch.note
    assert points(found["critical"])["times the update"] == pytest.approx(
        {10: 2 / 0.9, 20: 2 / 1.4, 30: 2 / 1.9, 40: 1}, rel=1e-4
    )
    assert found["critical"].title == "At step 40, the rate may rise by 1.0"
    text = render(sharpness_page(series), libraries="")
    assert all(
        cell in text for cell in ("27 – 33", "0.25", "3.5", "In its last third, training is at")
    )  # interval, signal to noise, noise


def test_the_central_flow_is_drawn_beside_the_loss_of_descent():
    series = make_series(central=True)
    figure = {figure.name: figure for figure in sharpness_figures(series)}["central-flow"]
    drawn = points(figure)
    assert len(drawn["descent"]) == 41
    assert drawn["central flow, predicted average"][0] == pytest.approx(1.1 * 2.3)
    assert figure.title == (
        "At step 40 the central flow predicts a loss of 0.506 (descent: 0.46), at 2 of 2, with an oscillation of "
        "variance 2.0e-3, 1.0e-3 of the weights’ norm away"
    )
    for row in series["rows"]:
        row["central"] |= dict.fromkeys(row["central"])
    lost = {figure.name: figure for figure in sharpness_figures(series)}["central-flow"]
    assert lost.title == "The central flow could not be followed"


def test_one_batch_has_no_band_and_its_note_is_on_the_page():
    series = make_series(batch=True)
    for row in series["rows"]:
        row["batch"] |= {"lower": None, "upper": None, "note": "there is one batch only"}
    figure = {figure.name: figure for figure in sharpness_figures(series)}["batch-sharpness"]
    assert figure.title == "At step 40 batch sharpness is 2, where 2 is the edge of small batches"
    assert figure.note.endswith("There is one batch only.")
    assert "low" not in figure.rows[0]
    series["rows"][0]["batch"] |= {"sharpness": -3.0, "normalised": -0.2}
    below = {figure.name: figure for figure in sharpness_figures(series)}["batch-sharpness"]
    assert min(points(below)["batch sharpness, against small batches' edge"].values()) == pytest.approx(-0.2)


def test_a_flow_that_could_not_be_followed_says_so():
    series = make_series(flow=True)
    series["rows"][-1]["flow"] |= {"relative_l2": None, "rel_l1": None}
    flow = {figure.name: figure for figure in sharpness_figures(series)}["flow"]
    assert flow.note.endswith("The flow could not be followed beyond step 30.")
    assert max(points(flow)["RelL1"]) == 30


def test_minibatches_and_batch_norm_are_reported_and_both_losses_drawn():
    series = make_series(full_batch=False, batch_norm=True, recipe=RECIPE | {"batch_size": 128}, measured_images=1000)
    texts = [standing.text for standing in series_standings(series)]
    assert any("1,000 fixed training images without augmentation" in text for text in texts)
    assert any("running statistics" in text for text in texts)
    drawn = points({figure.name: figure for figure in sharpness_figures(series)}["loss"])
    assert set(drawn) == {"each step’s batch", "the 1,000 images measured on"}
    assert drawn["the 1,000 images measured on"][10] == 1.15
    (passed,) = series_standings(make_series())
    assert passed.kind == "standing passed"
    assert passed.text.startswith("Every value is within 1.0e-3 of its upper bound")
    assert passed.text.endswith("40 Hessian-vector products for 5 measurements.")


def test_what_did_not_converge_or_diverged_comes_first():
    loose = make_row(50, 2.0, converged=False, residual=8.0, upper=48.0)
    series = make_series(rows=[make_row(0, 1.0), loose, make_diverged_row(60)])
    doubts = [standing.text for standing in series_standings(series) if standing.kind == "standing doubt"]
    assert doubts == [
        "1 of 2 measurements ran out of products before their error bound was small: it is up to 2.0e-1 of the "
        "sharpness.",
        "The training diverged: its loss is not finite at step 60.",
    ]
    page = render(sharpness_page(series), libraries="")
    assert page.index(doubts[1]) < page.index(series["finding"])
    assert any("1 of these 2 measurements made such a search" in text for text in series_method(series))


def test_far_beyond_the_edge_the_axis_is_logarithmic():
    far = make_series(rows=[make_row(0, 0.1), make_row(10, 500.0)])
    assert '"type": "log"' in json.dumps(sharpness_figures(far)[0].spec()["layer"])
    assert '"type": "log"' not in json.dumps(figures()["normalised-sharpness"].spec()["layer"])


def test_a_log_spaced_series_has_a_logarithmic_axis_of_steps():
    spec = json.dumps(figures(every="log:5")["normalised-sharpness"].spec())
    assert "update step (log scale)" in spec
    assert "evenly spaced in their logarithm" in figures(every="log:5")["normalised-sharpness"].note


def test_a_run_that_diverged_at_once_has_reasons_in_place_of_charts():
    series = make_series(rows=[make_diverged_row(0)], losses=[math.nan], finding="Nothing could be measured")
    page = render(sharpness_page(json.loads(json.dumps(series).replace("NaN", "null"))), libraries="")
    assert "Nothing could be measured." in page
    assert "The loss was never finite" in page


def test_every_measurement_is_a_row_and_every_setting_is_there():
    page = render(sharpness_page(make_series(diverged=True)), libraries="")
    assert page.count('<td class="alert">diverged</td>') == 1
    assert "<td>44</td>" in page  # the sharpness of step 40
    assert "optimizer.lr" in page
    assert "656,810 parameters" in page


def test_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"this is no sharpness series: it lacks batch_norm, .*numerics"):
        write_sharpness({"rows": []}, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
