"""Phase diagrams."""

import numpy as np
import pytest
from scipy.special import expit

from lastbit.paper.items.phase import PHASE


def test_bounds_and_edge_predict_the_regimes(smoke):
    result = smoke("phase")
    assert [made["holds"] for made in PHASE.claims(result)] == [True, True, True, False, True]
    sizes = [made["measured"]["cells"] for made in PHASE.claims(result)]
    assert sizes[:2] == [256, 256]
    # What blows up is in neither of the two groups inside the not activated regime's bound.
    blown_up = sum(row.count("blow-up") for row in result["network"]["regimes"])
    assert sizes[2] + sizes[3] == pytest.approx(256 - blown_up, abs=1)
    assert sizes[4] == 256 - blown_up


def test_the_sharpness_is_that_of_a_minimum_of_the_scalar_map(smoke):
    """On the checkerboard the loss is one function of s = <w, c>; see the test of figure 6."""
    network = smoke("phase")["network"]
    side, entries, h = 40 - 8 + 1, 8 * 8, 1e-3
    plus, minus = (side**2 + 1) // 2, side**2 // 2
    for decay, sharpness in list(zip(network["weight_decay"], network["sharpness"], strict=True))[4::4]:

        def loss(s, decay=decay):
            pooled = (plus * s * expit(s) - minus * s * expit(-s)) / side**2
            return np.logaddexp(0.0, -pooled) + decay / 2 * s**2 / entries

        s = np.linspace(-30, 30, 600_001)
        minima = s[1:-1][(loss(s[1:-1]) < loss(s[:-2])) & (loss(s[1:-1]) < loss(s[2:]))]
        known = entries * (loss(minima + h) - 2.0 * loss(minima) + loss(minima - h)) / h**2
        # All other directions see weight decay alone.
        known = np.maximum(known, decay)
        assert np.abs(sharpness / known - 1.0).min() < 1e-3


@pytest.mark.parametrize(("part", "index"), [("linear", 0), ("network", 1)])
def test_a_grid_of_other_regimes_fails(part, index, smoke):
    result = smoke("phase")
    result[part]["regimes"] = [row[::-1] for row in result[part]["regimes"]]
    made = PHASE.claims(result)[index]
    assert made["holds"] is False
    assert made["measured"]["as_foretold"] < made["measured"]["cells"]


def test_no_cell_is_not_every_cell(smoke):
    result = smoke("phase")
    for curve in result["network"]["bounds"]:
        curve["upper"] = [0.0 for _ in curve["upper"]]
    made = PHASE.claims(result)[2]
    assert made["holds"] is None
    assert made["reason"] == "No cell of the grid is there."


def test_the_diagrams_say_what_is_mapped(smoke):
    linear, network = PHASE.draw(smoke("phase"))
    assert (linear.name, network.name) == ("phase-linear", "phase-network")
    assert linear.title == "The bounds predict what the linear PDE does in 100.0 % of the runs"
    assert network.title.startswith(
        "Of the network’s runs that do not blow up, lr = 2/λ predicts the restrained ones in 100.0 %"
    )
