"""Figures 4 and 11."""

import pytest

from lastbit.paper.items.figure4 import FIGURE4
from lastbit.paper.items.nesterov_bounds import FIGURE11

PAPER_4, PAPER_11 = FIGURE4.scales["paper"].settings, FIGURE11.scales["paper"].settings
# From 225^2 positions to 9^2: the checkerboard's one eigenvalue is positions * 32^2.
SHARE = 81 / 50625


def holds(item, result):
    return [made["holds"] for made in item.claims(result)]


def failing(item, result):
    normally = [True, True, False] if item is FIGURE4 else [True, True, True, False]
    return [i for i, (held, usual) in enumerate(zip(holds(item, result), normally, strict=True)) if held != usual]


def test_figure_4_turns_where_published(smoke):
    result = smoke("figure4")
    assert result["bounds"]["exact"]["lower"] == pytest.approx(0.25 * 81 * 32**2, rel=1e-9)
    assert result["bounds"]["exact"]["lower"] == pytest.approx(1.296e7 * SHARE, rel=1e-9)
    assert result["bounds"]["exact"]["upper"] == pytest.approx(2e8 * SHARE, rel=1e-9)
    assert [run["regime"] for run in result["runs"]] == [
        *["blow-up", "blow-up", "stable", "stable"],
        *["restrained", "blow-up", "blow-up"],
    ]
    assert holds(FIGURE4, result) == [True, True, False]


def test_figure_4_grows_at_the_amplification_factor(smoke):
    """Below the bound the last steps multiply by 1 - lr (alpha - lambda / 4), above it by lr alpha - 1."""
    result = smoke("figure4")
    lr, lower = result["lr"], result["bounds"]["exact"]["lower"]
    for run in (result["runs"][0], result["runs"][-1]):
        alpha, norm = run["weight_decay"], run["norm"]
        expected = max(1 - lr * (alpha - lower), abs(1 - lr * alpha))
        assert norm[-1] / norm[-2] == pytest.approx(expected, rel=1e-3)


def test_figure_11_turns_where_theory_says(smoke):
    result = smoke("figure11")
    assert result["momentum"] == pytest.approx(0.9)
    dt = FIGURE11.scales["smoke"].settings["dt"]
    assert result["lr"] == pytest.approx(0.95 * dt**2)
    assert result["bounds"]["exact"]["upper"] == pytest.approx(3.8 / 2.8 / (0.95 * dt**2), rel=1e-6)
    assert result["bounds"]["damping-free"]["upper"] == pytest.approx(4 / (3 * dt**2), rel=1e-6)
    assert holds(FIGURE11, result) == [True, True, True, False]


def test_the_published_settings_are_stated():
    assert PAPER_4["weight_decays"] == [1.1e7, 1.2e7, 1.3e7, 1.9e8, 2.0e8, 2.1e8, 2.2e8]
    assert (PAPER_4["size"], PAPER_4["kernel"], PAPER_4["lr"]) == (256, 32, 1e-8)
    assert len(PAPER_11["weight_decays"]) == 7


@pytest.mark.parametrize("item", [FIGURE4, FIGURE11])
@pytest.mark.parametrize(("run", "claims"), [(0, [0]), (1, [0]), (2, [0, 1]), (6, [1])])
def test_a_run_that_does_otherwise_fails(item, run, claims, smoke):
    result = smoke(item.id)
    was = result["runs"][run]["regime"]
    result["runs"][run]["regime"] = "stable" if was == "blow-up" else "blow-up"
    # A run between the bounds is also what Theorem 5.6 promises to be stable.
    expected = [*claims, 2] if item is FIGURE11 and run == 2 else claims
    assert failing(item, result) == expected


def test_other_bounds_fail_and_the_refuted_claims_could_hold(smoke):
    result = smoke("figure4")
    result["bounds"]["exact"]["lower"] *= 1.02
    assert failing(FIGURE4, result) == [0]
    result = smoke("figure4")
    result["bounds"]["exact"]["upper"] *= 0.98
    assert failing(FIGURE4, result) == [1]
    result = smoke("figure4")
    result["bounds"]["infinite"]["lower"] = result["bounds"]["exact"]["lower"]
    assert holds(FIGURE4, result)[2]
    result = smoke("figure11")
    result["bounds"]["damping-free"]["upper"] *= 0.9
    assert failing(FIGURE11, result) == [2]
    result = smoke("figure11")
    result["bounds"]["exact"]["upper"] = result["bounds"]["damping-free"]["upper"]
    assert holds(FIGURE11, result)[3]


def test_curves_that_blow_up_end_in_a_cross(smoke):
    norm, loss = FIGURE4.draw(smoke("figure4"))
    assert norm.title == "The kernel stays bounded only between weight decays 2.074e4 and 3.2e5"
    for figure, crosses in ((norm, 2), (loss, 4)):
        spec = figure.spec()
        assert len(spec["datasets"][spec["layer"][1]["data"]["name"]]) == crosses
        assert len(figure.rows) == 7
    assert "minus infinity" in loss.note
