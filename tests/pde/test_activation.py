"""Swish and its derivatives against sympy and their values at 0 and far away."""

import numpy as np
import pytest
import sympy

from lastbit.pde.activation import sigmoid, swish, swish_and_slope, swish_curvature

Z = np.array([-30.0, -3.0, -1e-3, 0.0, 0.2, 1.0, 7.0, 40.0])


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 5.0])
def test_derivatives_against_symbolic_ones(beta):
    z, b = sympy.symbols("z b")
    r = z / (1 + sympy.exp(-b * z))
    value, slope, curvature = (
        [float(sympy.diff(r, z, order).subs({z: x, b: beta}).evalf(30)) for x in Z] for order in range(3)
    )
    np.testing.assert_allclose(swish(Z, beta), value, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(swish_and_slope(Z, beta), [value, slope], rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(swish_curvature(Z, beta), curvature, rtol=1e-13, atol=1e-13)


def test_values_the_linearisation_rests_on():
    zero = np.zeros(1)
    assert swish_and_slope(zero, 3.0)[1] == 0.5
    assert swish_curvature(zero, 3.0) == 1.5


def test_sigmoid_neither_overflows_nor_changes_precision():
    extremes = np.array([-3e38, -100.0, 100.0, 3e38], np.float32)
    assert sigmoid(extremes).dtype == np.float32
    np.testing.assert_array_equal(sigmoid(extremes), [0, 0, 1, 1])
