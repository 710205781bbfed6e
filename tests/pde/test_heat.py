"""The heat equation against its closed forms, and figure 1's numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.pde import heat


def test_figure_1_blows_up_after_912_steps():
    run = heat.simulate(heat.tent(), dt=0.8, steps=1000)
    assert run.blow_up_step == 912
    assert len(run.max_abs) == 913
    assert np.isfinite(run.max_abs[:-1]).all()
    assert heat.amplification_max(dt=0.8) == pytest.approx(2.2, rel=1e-15)
    # In the long run each step multiplies the highest mode that the fixed ends allow.
    highest = np.abs(heat.amplification(np.pi * 29 / 30, dt=0.8))
    assert run.max_abs[800] / run.max_abs[799] == pytest.approx(highest, rel=1e-6)


def test_figure_1_stable_step_follows_the_sine_series():
    """The discrete problem's modes are sines with the amplification factor of their frequency."""
    steps = (2, 6, 10, 100, 500)
    run = heat.simulate(heat.tent(), dt=0.4, steps=500, snapshots=steps)
    frequencies = np.pi * np.arange(1, 30) / 30
    modes = np.sin(np.outer(np.arange(31), frequencies))
    coefficients = modes.T @ heat.tent() * 2 / 30
    assert run.blow_up_step is None
    assert run.snapshot_steps == steps
    for step, shot in zip(steps, run.snapshots, strict=True):
        factors = heat.amplification(frequencies, dt=0.4) ** step
        np.testing.assert_allclose(shot, modes @ (coefficients * factors), atol=1e-13)


def test_two_dimensions_follow_the_sine_series():
    n, dt, dx, kappa = 12, 0.05, 0.5, 0.9
    assert dt < heat.max_stable_dt(2, dx=dx, diffusivity=kappa)
    x = np.arange(n + 1) * dx
    p, q = np.pi * 3 / (n * dx), np.pi * 11 / (n * dx)
    start = np.outer(np.sin(p * x), np.sin(q * x))
    run = heat.simulate(start, dt=dt, steps=20, dx=dx, diffusivity=kappa)
    factor = heat.amplification(p, q, dt=dt, dx=dx, diffusivity=kappa)
    np.testing.assert_allclose(run.final, factor**20 * start, atol=1e-14)


@given(
    dimensions=st.integers(1, 3),
    dx=st.floats(0.1, 10),
    diffusivity=st.floats(0.1, 10),
    share=st.floats(0.5, 2).filter(lambda s: abs(s - 1) > 1e-6),
)
def test_cfl_is_where_the_amplification_passes_one(dimensions, dx, diffusivity, share):
    limit = heat.max_stable_dt(dimensions, dx=dx, diffusivity=diffusivity)
    assert limit == pytest.approx(dx**2 / (2 * dimensions * diffusivity))
    worst = heat.amplification_max(dt=share * limit, dimensions=dimensions, dx=dx, diffusivity=diffusivity)
    omega = np.meshgrid(*[np.linspace(0, np.pi / dx, 9)] * dimensions)
    factors = np.abs(heat.amplification(*omega, dt=share * limit, dx=dx, diffusivity=diffusivity))
    assert worst == pytest.approx(factors.max(), rel=1e-12)
    assert (worst > 1 + 1e-9) == (share > 1)


def test_perturbation_changes_the_last_bits_only_while_stable():
    runs = {k: heat.simulate(heat.tent(), dt=0.3, steps=100, k=k).final for k in (1, 2, 3)}
    np.testing.assert_array_equal(runs[1], runs[2])
    assert 0.0 < np.abs(runs[1] - runs[3]).max() < 1e-14
    unstable = {k: heat.simulate(heat.tent(), dt=0.8, steps=100, k=k).final for k in (1, 3)}
    assert np.abs(unstable[1] - unstable[3]).max() > 1e10


def test_single_precision_overflows_earlier():
    run = heat.simulate(heat.tent(), dt=0.8, steps=1000, dtype="float32")
    assert run.final.dtype == np.float32
    assert 100 < run.blow_up_step < 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt": 0.0}, "time step must be positive and finite, not 0.0"),
        ({"steps": -1}, "steps must be at least 0, not -1"),
        ({"dx": -1.0}, "dx must be positive"),
        ({"diffusivity": 0.0}, "diffusivity must be positive"),
        ({"k": 0}, "k must be an integer of at least 1"),
        ({"snapshots": (3, 12)}, r"after 0 \.\.\. 10 steps, not 12"),
        ({"start": [np.nan]}, "initial state must be finite"),
        ({"start": []}, "non-empty array"),
        ({"dtype": "float16"}, "precision must be float32 or float64, not float16"),
    ],
)
def test_wrong_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        heat.simulate(**{"start": heat.tent(), "dt": 0.4, "steps": 10, **options})


def test_other_wrong_input_is_named():
    with pytest.raises(ValueError, match="at least 1 dimension, not 0"):
        heat.max_stable_dt(0)
    with pytest.raises(ValueError, match="at least 3 points, not 2"):
        heat.tent(2)
