"""The page of twins against the numbers it was made from."""

import math

import pytest

from lastbit.errors import LastbitError
from lastbit.report.growth import write_growth_page
from lastbit.report.growth.charts import amplification_figure, distance_figure, flips_figure
from lastbit.report.growth.page import growth_page
from lastbit.report.growth.predicted import predicted_figure
from lastbit.report.growth.words import fastest
from lastbit.report.numbers import MISSING
from lastbit.report.page import render
from lastbit.report.study.weights import growth_table


def make_pair(noise="k=3", *, jump_at=6, steps=12, activations=500):
    """Twins whose distance doubles at each step and leaps a thousandfold at one, in `b` alone."""
    factor = [1000.0 if jump_at is not None and step >= jump_at else 1.0 for step in range(1, steps + 1)]
    distances = [1e-8 * 2**step * f for step, f in zip(range(1, steps + 1), factor, strict=True)]
    jumps = [{"before": jump_at - 1, "step": jump_at, "factor": 2000.0, "layer": "b", "flips": 3}] if jump_at else []
    segment = {"first": 1, "last": 5, "rate": math.log(2), "lower": 0.6, "upper": 0.8, "factor": 16.0}
    return {
        "noise": noise,
        "baseline": "k=1",
        "step": list(range(1, steps + 1)),
        "relative_l2": distances,
        "norms": {"a": [2.0**step for step in range(steps)], "b": distances, "still": [0.0] * steps},
        "activations": activations,
        "flips": [3 if jump_at and step >= jump_at else 0 for step in range(1, steps + 1)],
        "growth": {
            "segments": [segment],
            "jumps": jumps,
            "saturation": {"level": 0.02, "low": 0.01, "high": 0.03, "since": 9},
        },
        "test_accuracy": [81.5, 82.0],
        "churn": 2.25,
    }


def make_content(**changes):
    settings = {"name": "made-up", "optimizer": {"lr": 0.1}}
    return {"name": "made-up", "settings": settings, "seed": 4, "pairs": [make_pair()], "verdict": "Leaps."} | changes


def test_the_page_has_verdict_rates_jumps_and_churn(tmp_path):
    write_growth_page(make_content(), tmp_path / "growth.html")
    html = (tmp_path / "growth.html").read_text(encoding="utf-8")
    for said in ("Leaps.", "0.69 per step (0.6 to 0.8), steps 1 to 5", "×2000 at step 6 (b)", "2.0e-2 since step 9"):
        assert said in html
    assert "<td>3</td>" in html
    assert "<td>81.50 / 82.00</td>\n<td>2.25</td>" in html


def test_a_stretch_that_is_the_level_is_no_growth():
    drifting = {"first": 9, "last": 12, "rate": 0.05, "lower": 0.01, "upper": 0.09, "factor": 1.2}
    level = {"level": 0.02, "low": 0.01, "high": 0.03, "since": 9}
    doubling = make_pair()["growth"]["segments"][0]
    assert fastest([drifting], level) == MISSING
    assert fastest([drifting], None).endswith("steps 9 to 12")
    assert fastest([{**drifting, "rate": 0.8}, doubling], level).endswith("steps 1 to 5")


def test_titles_name_the_largest_jump_and_the_first_flip():
    pairs = [make_pair(), make_pair("k=5", jump_at=None)]
    assert distance_figure(pairs).title == "The last bit leaps 2000-fold at step 6 and grows to 4.1e-2 in 12 steps"
    assert flips_figure(pairs).title == "The first of 500 activations flips at step 6"
    calm = [make_pair(jump_at=None)]
    assert distance_figure(calm).title == "The last bit grows without a jump, to 4.1e-5 in 12 steps"
    assert not flips_figure(calm).is_drawn
    assert "no activation with a kink" in flips_figure([make_pair(jump_at=None, activations=0)]).title


def test_every_distance_is_drawn_and_every_jump_marked():
    spec = distance_figure([make_pair()]).spec()
    assert spec["datasets"]["rows"][0]["y"] == pytest.approx(make_pair()["relative_l2"], rel=1e-4)
    assert spec["datasets"]["jumps"] == [{"at": 6}]


def test_the_map_holds_the_logarithm_of_each_amplification():
    figure = amplification_figure(make_pair())
    cells = {(row["row"], row["step"]): row["shown"] for row in figure.rows}
    assert cells[("b", 6)] == pytest.approx(math.log10(2000), abs=1e-3)
    assert cells[("a", 6)] == pytest.approx(math.log10(2), abs=1e-3)
    assert {tensor for tensor, _ in cells} == {"a", "b"}
    assert len(cells) == 2 * 11
    assert figure.title.startswith("b amplifies its difference 2000-fold at step 6; in ")


def test_the_map_is_centred_on_no_change():
    (layer,) = amplification_figure(make_pair()).spec()["layer"]
    assert layer["encoding"]["color"]["scale"]["domain"] == [-2.0, 2.0]
    calm = make_pair(jump_at=None)
    (layer,) = amplification_figure(calm).spec()["layer"]
    assert layer["encoding"]["color"]["scale"]["domain"] == [-0.5, 0.5]


def test_a_long_map_shows_the_most_extreme_step_of_each_cell():
    figure = amplification_figure(make_pair(jump_at=700, steps=1000))
    assert len({row["left"] for row in figure.rows}) <= 160
    assert "A cell holds 7 steps" in figure.note
    assert 700 in {row["step"] for row in figure.rows}


def test_identical_and_diverged_twins_are_reported_in_words():
    still = make_pair(jump_at=None) | {"relative_l2": [0.0] * 12, "norms": {"a": [0.0] * 12}}
    assert distance_figure([still]).title == "The twins stay bit-identical"
    assert not amplification_figure(still).is_drawn
    gone = make_pair()
    gone["relative_l2"][-1] = None
    gone["norms"]["b"][-1] = None
    assert "until a run diverges" in distance_figure([gone]).title
    assert render(growth_page(make_content(pairs=[gone])), libraries="")


def make_linearised(parting=None, steps=12):
    return {
        "predicted": [1e-8 * 2**step for step in range(1, steps + 1)],
        "amplified": [2e-8 * 1.25**step for step in range(steps)],
        "amplification": 1.25 ** (steps - 1),
        "gap": [1e-7 * step for step in range(steps)],
        "parting": parting,
    }


def test_prediction_and_twins_are_drawn_with_the_step_at_which_they_part():
    parting = {"step": 6, "gap": 0.99, "tensor": "b", "flips_by_module": {"relu": 3}}
    pair = make_pair() | {"linearised": make_linearised(parting)}
    figure = predicted_figure(pair)
    assert figure.title == "Twins leave the prediction at step 6, where 3 activations flip, most in b (k=3)"
    data = figure.spec()["datasets"]
    assert data["jumps"] == [{"at": 6}]
    assert data["rows"][1]["y"] == pytest.approx(make_linearised()["predicted"], rel=1e-4)
    agreeing = make_pair(jump_at=None) | {"linearised": make_linearised()}
    figure = predicted_figure(agreeing)
    assert figure.title == (
        "Linearised training predicts every distance to 1.1e-6 of it, and amplifies the first 12-fold (k=3)"
    )
    assert not figure.spec()["datasets"].get("jumps")
    assert not predicted_figure(agreeing | {"relative_l2": [0.0] * 12}).is_drawn
    page = growth_page(make_content(pairs=[pair, agreeing | {"noise": "k=5"}]))
    assert [part.name for part in page.body if hasattr(part, "spec")][1:3] == ["predicted-k3", "predicted-k5"]


def test_a_prediction_of_other_steps_is_refused(tmp_path):
    pair = make_pair() | {"linearised": make_linearised(steps=11)}
    with pytest.raises(LastbitError, match=r"linearised\.predicted has 11 numbers for 12 steps"):
        write_growth_page(make_content(pairs=[pair]), tmp_path / "growth.html")


def test_a_study_says_between_which_snapshots_a_pair_leaps():
    jump = {"before": 11, "step": 16, "factor": 63.4, "layer": "first.weight"}
    pair = {"noise": "k=3", "seed": 2, **make_pair()["growth"], "jumps": [jump]}
    calm = {"noise": "k=5", "seed": 2, **make_pair()["growth"], "jumps": [], "saturation": None}
    table, _ = growth_table({"growth": [pair, calm]})
    assert table.title == (
        "1 of 2 pairs of runs leap apart; the largest jump is ×63 between steps 11 and 16 (first.weight)"
    )
    assert table.rows[0][3] == "×63 between steps 11 and 16 (first.weight)"
    assert table.rows[1][1:] == ["2", "0.69 per step (0.6 to 0.8), steps 1 to 5", "none", "–"]
    assert growth_table({"growth": [calm]})[0].title.startswith("No pair of runs leaps apart")
    assert growth_table({})[0].rows == []


def test_a_pair_that_comes_back_does_not_leap_apart():
    jump = {"before": 11, "step": 16, "factor": 63.4, "layer": "first.weight"}
    still = {"first": 16, "last": 32, "rate": -0.2, "lower": -0.4, "upper": 0.1, "factor": 0.04}
    pair = {"noise": "k=3", "seed": 2, "segments": [still], "jumps": [jump], "saturation": None}

    def ending(last):
        rows = [
            {"noise": "k=3", "seed": 2, "step": step, "value": v} for step, v in ((11, 1e-7), (16, 6e-6), (32, last))
        ]
        return growth_table({"growth": [pair], "rel_l1": rows})

    back, folded = ending(9.9e-7)
    assert back.title == "No pair of runs leaps apart for good: 1 of 1 jump and come back"
    assert folded
    assert back.rows[0][2] == "–"
    apart, folded = ending(1.1e-6)
    assert apart.title.startswith("1 of 1 pairs of runs leap apart; the largest jump is ×63")
    assert not folded
    growing = pair | {"segments": [still | {"rate": 0.2, "lower": 0.1, "upper": 0.3}]}
    assert not growth_table({"growth": [growing], "rel_l1": []})[1]
