import numpy as np
import pytest

from lastbit.explore.layer import DescentSettings, Layer
from lastbit.explore.theory import amplification, amplification_figure
from lastbit.pde import noise

SIZE = 12


def layer(image=None, *, kernel=3, beta=1.0, label=0):
    return Layer(noise(SIZE, 1) if image is None else image, kernel, beta, label)


def wave(row, column):
    rows, columns = np.indices((SIZE, SIZE))
    return np.cos(2 * np.pi * (row * rows + column * columns) / SIZE)


def factors_by_hand(given, descent):
    """|A| of every frequency from the definition of the DFT and the roots of the characteristic polynomial."""
    rows, columns = np.indices((SIZE, SIZE))
    positions = (SIZE - given.kernel + 1) ** 2
    found = {}
    for i in range(SIZE):
        for j in range(SIZE):
            waves = np.exp(-2j * np.pi * (i * rows + j * columns) / SIZE)
            residual = 0.5 - given.label
            gain = descent.lr * (
                descent.weight_decay + residual * given.beta / 2 / positions * abs((given.image * waves).sum()) ** 2
            )
            roots = np.roots([1.0, -(1.0 + descent.momentum - gain), descent.momentum])
            found[i, j] = max(abs(roots))
    return found


@pytest.mark.parametrize("settings", [(0.3, 1.0), (0.3, 1.0, 0.9), (2.0, 0.1, 0.4)])
@pytest.mark.parametrize("label", [0, 1])
def test_factors_are_those_of_the_definition_ring_by_ring(settings, label):
    descent = DescentSettings(*settings)
    given = layer(beta=1.7, label=label)
    found, by_hand = amplification(given, descent), factors_by_hand(given, descent)
    rings: dict[int, list[float]] = {}
    for (i, j), factor in by_hand.items():
        rings.setdefault(round(np.hypot(min(i, SIZE - i), min(j, SIZE - j))), []).append(factor)
    np.testing.assert_allclose(found.radius, [2 * ring / SIZE for ring in sorted(rings)])
    np.testing.assert_allclose(found.least, [min(rings[ring]) for ring in sorted(rings)], rtol=1e-6)
    np.testing.assert_allclose(found.most, [max(rings[ring]) for ring in sorted(rings)], rtol=1e-6)
    assert found.peak == pytest.approx(max(by_hand.values()))


@pytest.mark.parametrize(
    ("image", "place"),
    [
        ((1, 2), (2 / SIZE, 4 / SIZE)),
        ((2, -3), (4 / SIZE, -6 / SIZE)),
        ((6, 0), (1.0, 0.0)),
        ((0, -4), (0.0, 8 / SIZE)),
    ],
)
def test_a_wave_is_unstable_first_at_its_own_frequency(image, place):
    found = amplification(layer(wave(*image)), DescentSettings(10.0, 0.1))
    assert found.frequency == pytest.approx(place)
    assert not found.is_stable


@pytest.mark.parametrize("label", [0, 1])
def test_it_is_stable_exactly_within_the_bounds_of_an_infinite_window(label):
    given = layer(label=label)
    bounds = given.net.bounds(lr=0.2, window="infinite")
    for weight_decay in (0.9 * bounds.lower, 1.1 * bounds.lower + 1e-6, 0.99 * bounds.upper, 1.01 * bounds.upper):
        found = amplification(given, DescentSettings(0.2, weight_decay))
        assert found.is_stable == (bounds.lower <= weight_decay <= bounds.upper)


def test_the_window_factor_is_that_of_the_dense_operator():
    given, descent = layer(), DescentSettings(0.7, 1.0)
    units = np.eye(9).reshape(9, 3, 3)
    matrix = np.array([given.linear.apply(unit).ravel() for unit in units])
    largest = max(abs(1 - descent.lr * (descent.weight_decay + np.linalg.eigvalsh(matrix))))
    assert amplification(given, descent).windowed == pytest.approx(largest)


def test_the_title_states_the_finding():
    unstable = amplification_figure(amplification(layer(wave(6, 6)), DescentSettings(10.0, 0.1)), 3)
    assert unstable.title.startswith("Unstable from ω = (π, π): |A| = ")
    stable = amplification_figure(amplification(layer(0 * wave(1, 0)), DescentSettings(0.1, 1.0)), 3)
    assert stable.title == "Stable at every frequency: |A| is at most 0.9, at ω = (0, 0)"
    points = {row["curve"]: row["x"] for row in stable.rows}
    assert "amplified" not in points
    assert len(points["damped"]) == 9


def test_every_ring_is_drawn_on_its_side_of_1_and_in_the_band():
    factors = amplification(layer(wave(2, 1)), DescentSettings(10.0, 0.1))
    course, amplified, damped, window = amplification_figure(factors, 3).rows
    least, most = (np.maximum(ends, 1e-2) for ends in (factors.least, factors.most))
    np.testing.assert_allclose(course["low"], least, rtol=1e-4)
    np.testing.assert_allclose(course["high"], most, rtol=1e-4)
    np.testing.assert_allclose(amplified["x"], factors.radius[factors.most > 1.0], rtol=1e-4)
    np.testing.assert_allclose(damped["x"], factors.radius[factors.most <= 1.0], rtol=1e-4)
    np.testing.assert_allclose(window["y"], factors.windowed, rtol=1e-4)
