"""Simulations against the checkerboard's scalar map, a hand-written loop, published numbers and the linear theory."""

import numpy as np
import pytest
from scipy.special import expit

from lastbit.pde.images import checkerboard, noise, random_kernel
from lastbit.pde.momentum import Momentum
from lastbit.pde.one_layer import OneLayerCNN
from lastbit.pde.simulation import simulate

FIGURE_5 = OneLayerCNN(checkerboard(256), 32, pool="mean")
SMALL = OneLayerCNN(checkerboard(40), 8, pool="mean")


def scalar_map(net, kernel, lr, weight_decay, steps, scheme=None):
    """Losses on the checkerboard: every response is s or -s with s = <w, c>, and the rest of w only decays."""
    scheme = scheme or Momentum()
    pattern = checkerboard(net.kernel)
    side = net.image.shape[0] - net.kernel + 1
    plus, minus = (side**2 + 1) // 2, side**2 // 2  # patches equal to c, and to -c
    s, w2 = np.sum(kernel * pattern), float(net.kernel**2)
    rest = np.sqrt(np.sum((kernel - s / w2 * pattern) ** 2))
    state, buffer, losses = np.array([s, rest]), None, []
    for _ in range(steps):
        s, rest = state
        sigma = expit(net.beta * s)
        r_plus, r_minus = s * sigma, -s * (1 - sigma)
        d_plus = sigma + net.beta * s * sigma * (1 - sigma)
        d_minus = (1 - sigma) - net.beta * s * sigma * (1 - sigma)
        pooled = (plus * r_plus + minus * r_minus) / side**2
        a = expit(pooled) - net.label
        losses.append(np.logaddexp(0, pooled) - net.label * pooled + weight_decay / 2 * (s**2 / w2 + rest**2))
        gradient = np.array([a * (plus * d_plus - minus * d_minus) / side**2 * w2, 0.0]) + weight_decay * state
        direction, buffer = scheme.advance(gradient, buffer)
        state = state - lr * direction
    return np.array(losses)


@pytest.mark.parametrize("method", ["fft", "direct"])
@pytest.mark.parametrize(
    ("lr", "steps", "scheme"),
    [(0.2, 300, Momentum()), (0.1, 300, Momentum(0.9)), (0.2, 300, Momentum(0.5, nesterov=True)), (1.5, 8, Momentum())],
)
def test_scalar_map_of_the_checkerboard(lr, steps, scheme, method):
    net = OneLayerCNN(checkerboard(40), 8, pool="mean", method=method)
    kernel = random_kernel(8, 3)
    run = simulate(net, kernel, lr=lr, weight_decay=1.25, steps=steps, momentum=scheme.mu, nesterov=scheme.nesterov)
    np.testing.assert_allclose(run.loss, scalar_map(net, kernel, lr, 1.25, steps, scheme), rtol=1e-12)


def test_figure_5_first_losses():
    run = simulate(FIGURE_5, random_kernel(32, 7), lr=0.07, weight_decay=20.0, steps=6)
    published = [9498.183801, 1520.248574, 244.087459, 39.194357, 6.528445, 1.425929]
    np.testing.assert_allclose(run.loss, published, atol=5e-7, rtol=0)
    exact = scalar_map(FIGURE_5, random_kernel(32, 7), 0.07, 20.0, 6)
    np.testing.assert_allclose(run.loss, exact, rtol=1e-12)


@pytest.mark.parametrize(
    ("lr", "regime"),
    [
        (0.005, "stable"),
        (0.03, "stable"),
        (0.04, "restrained"),
        (0.07, "restrained"),
        (0.095, "restrained"),
        (0.101, "blow-up"),
    ],
)
def test_figure_5_regimes_and_last_bit_twins(lr, regime):
    run = simulate(FIGURE_5, random_kernel(32, 7), lr=lr, weight_decay=20.0, steps=250, ks=(1, 3))
    assert run.regime == regime
    assert run.rel_l1[1, 0] == 0.0
    if regime == "stable":
        assert run.loss[-1] == pytest.approx(0.291495, abs=5e-7)
        assert run.rel_l1[1].max() < 1e-11
        assert run.rel_l1[1, -1] < 1e-15
    if lr == 0.07:
        assert run.rel_l1[1].max() > 0.1


def test_regimes_at_full_length_on_a_small_board():
    """All of 1,000 steps, at the ratios of figure 5: weight decay W^2 / 51.2, learning rates up to 2 / weight decay."""
    expected = {0.08: "stable", 0.48: "stable", 0.64: "restrained", 1.12: "restrained", 1.52: "restrained"}
    expected |= {1.602: "blow-up", 1.8: "blow-up"}
    for lr, regime in expected.items():
        assert simulate(SMALL, random_kernel(8, 7), lr=lr, weight_decay=1.25).regime == regime, lr


def test_equal_k_and_powers_of_two_are_bit_identical():
    net = OneLayerCNN(noise(32, 0), 8, pool="mean")
    options = {"lr": 1.0, "weight_decay": 0.3, "steps": 50, "momentum": 0.9, "nesterov": True}
    run = simulate(net, random_kernel(8, 1), ks=(1, 1, 2, 8, 3, 6), **options)
    np.testing.assert_array_equal(run.rel_l1[:4], 0.0)
    assert run.rel_l1[4].max() > 0.0
    np.testing.assert_array_equal(run.rel_l1[4], run.rel_l1[5])
    np.testing.assert_array_equal(simulate(net, random_kernel(8, 1), ks=(3,), **options).loss.shape, (50,))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_against_a_hand_written_loop(dtype):
    net = OneLayerCNN(noise(20, 0), 5, pool="mean", boundary="same", objective="squared", label=0)
    kernel = random_kernel(5, 1)
    run = simulate(net, kernel, lr=0.5, weight_decay=0.1, steps=20, momentum=0.9, ks=(5, 3), dtype=dtype)
    cast = net.astype(dtype)
    weights = {k: kernel.astype(dtype) for k in (5, 3)}
    buffers = dict.fromkeys(weights, np.zeros((5, 5), dtype))
    for step in range(20):
        assert run.loss[step] == pytest.approx(
            float(cast.loss(weights[5], 0.1)), rel=1e-6 if dtype == "float32" else 1e-12
        )
        assert run.norm[step] == pytest.approx(np.linalg.norm(weights[5]), rel=1e-6)
        a, b = (weights[k].astype(float) for k in (5, 3))
        assert run.rel_l1[1, step] == pytest.approx(np.mean(2 * np.abs(a - b) / (np.abs(a) + np.abs(b))), abs=1e-15)
        before = weights[5]
        for k in weights:
            buffers[k] = cast.dtype.type(0.9) * buffers[k] + cast.evaluate(weights[k], 0.1).gradient
            weights[k] = weights[k] - cast.dtype.type(0.5 * k) * (buffers[k] / cast.dtype.type(k))
        assert run.step_length[step] == pytest.approx(np.linalg.norm(weights[5] - before), rel=1e-6)
    assert run.kernel.dtype == dtype
    np.testing.assert_array_equal(run.kernel, weights[5])


def test_linear_model_obeys_its_amplification():
    """Figure 4: in the linear PDE the top mode grows or decays by exactly 1 - lr (alpha + z)."""
    net = OneLayerCNN(checkerboard(64), 8)
    lower = net.bounds(lr=1e-6).lower
    pattern = checkerboard(8) / 8
    for alpha, regime in ((0.7 * lower, "blow-up"), (1.3 * lower, "stable"), (2.1e6, "blow-up")):
        run = simulate(net.transitioning(), pattern, lr=1e-6, weight_decay=alpha, steps=100)
        assert run.regime == regime
        np.testing.assert_allclose(
            run.step_length[1:20] / run.step_length[:19], abs(1 - 1e-6 * (alpha - lower)), rtol=1e-9
        )


@pytest.mark.parametrize(
    ("alpha", "regime"),
    [
        (1.1e7, "blow-up"),
        (1.2e7, "blow-up"),
        (1.3e7, "stable"),
        (1.9e8, "stable"),
        (2.1e8, "blow-up"),
        (2.2e8, "blow-up"),
    ],
)
def test_figure_4(alpha, regime):
    """The published weight decays around both bounds, lr 1e-8, in the linear PDE with a = -1/2 and the sum pooled."""
    linear = OneLayerCNN(checkerboard(256), 32).transitioning(-0.5)
    run = simulate(linear, random_kernel(32, 7), lr=1e-8, weight_decay=alpha, steps=300)
    assert run.regime == regime


def test_shares_are_those_of_the_responses():
    net = OneLayerCNN(noise(16, 0), 4, beta=2.0)
    kernel = random_kernel(4, 1)
    run = simulate(net, kernel, lr=0.01, steps=1)
    z = OneLayerCNN(noise(16, 0), 4, beta=2.0, method="fft").response(kernel)
    expected = [np.mean(z > 0.5), np.mean(np.abs(z) <= 0.5), np.mean(z < -0.5)]
    np.testing.assert_allclose(run.shares[0], expected, rtol=1e-12)


def test_local_amplification_is_the_spectral_radius_of_the_update():
    """Along a run with momentum, against the dense matrix of the two-step update."""
    net = OneLayerCNN(noise(12, 0) + 0.2, 3, pool="mean")
    kernel, mu, lr = random_kernel(3, 1), 0.9, 0.8
    run = simulate(net, kernel, lr=lr, weight_decay=0.1, steps=7, momentum=mu, nesterov=True, amplification_every=3)
    np.testing.assert_array_equal(run.amplification_steps, [0, 3, 6])
    for step, factor, sharpness in zip(run.amplification_steps, run.amplification, run.sharpness, strict=True):
        at = (
            kernel
            if step == 0
            else simulate(net, kernel, lr=lr, weight_decay=0.1, steps=int(step), momentum=mu, nesterov=True).kernel
        )
        hessian = net.hessian(at, 0.1).apply(np.eye(9).reshape(9, 3, 3)).reshape(9, 9)
        assert sharpness == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-9)
        look = np.eye(9) - lr * hessian
        companion = np.block([[(1 + mu) * look, -mu * look], [np.eye(9), np.zeros((9, 9))]])
        assert factor == pytest.approx(np.abs(np.linalg.eigvals(companion)).max(), rel=1e-6)


def test_crossings_mark_the_restrained_band():
    """Restrained means passing back and forth across an amplification of 1; stable runs end below it."""
    runs = {
        lr: simulate(SMALL, random_kernel(8, 7), lr=lr, weight_decay=1.25, steps=200, amplification_every=1)
        for lr in (0.32, 1.12, 1.7)
    }
    assert runs[0.32].regime == "stable"
    assert runs[0.32].amplification[-1] < 1
    assert runs[0.32].crossings < 20
    assert runs[1.12].crossings > 50
    assert runs[1.7].regime == "blow-up"
    assert runs[1.7].amplification[-1] == pytest.approx(1.7 * 1.25 - 1, rel=1e-6)


def test_amplification_of_a_linear_model_is_constant():
    linear = OneLayerCNN(noise(12, 0), 3).transitioning()
    run = simulate(linear, random_kernel(3, 0), lr=1e-3, weight_decay=100.0, steps=6, amplification_every=2)
    assert np.ptp(run.amplification) == 0.0
    assert run.crossings == 0


def test_the_end_of_a_run_can_be_measured_alone():
    given = {"lr": 1.6, "weight_decay": 1.25, "steps": 20}
    whole = simulate(SMALL, random_kernel(8, 7), **given, amplification_every=1)
    end = simulate(SMALL, random_kernel(8, 7), **given, amplification_every=3, amplification_from=12)
    assert end.amplification_steps.tolist() == [12, 15, 18]
    np.testing.assert_allclose(end.amplification, whole.amplification[[12, 15, 18]], rtol=1e-9)
    np.testing.assert_array_equal(end.kernel, whole.kernel)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_overflow_is_reported_with_its_step(dtype):
    run = simulate(SMALL, random_kernel(8, 7), lr=4.0, weight_decay=5.0, steps=1000, ks=(1, 3), dtype=dtype)
    assert run.regime == "blow-up"
    # |K| grows by 19 a step, and its square overflows at the largest number of the precision.
    largest = float(np.finfo(dtype).max)
    expected = np.log(largest / run.norm[0] ** 2) / (2 * np.log(19.0))
    assert run.blow_up_step == pytest.approx(expected, abs=3)
    assert len(run.loss) == len(run.norm) == len(run.step_length) == run.blow_up_step
    assert run.rel_l1.shape == (2, run.blow_up_step)
    assert run.shares.shape == (run.blow_up_step, 3)
    assert np.isfinite(run.loss).all()


def test_a_start_that_overflows_at_once_is_a_blow_up():
    run = simulate(SMALL, np.full((8, 8), 1e200), lr=0.1, weight_decay=1.0)
    assert (run.regime, run.blow_up_step, run.loss.size) == ("blow-up", 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "learning rate must be positive and finite, not 0.0"),
        ({"lr": -1.0}, "learning rate must be positive and finite, not -1.0"),
        ({"weight_decay": -1.0}, "weight decay must be finite and at least 0, not -1.0"),
        ({"steps": 0}, "at least 1 step, not 0"),
        ({"ks": ()}, "at least one k"),
        ({"ks": (1, 0)}, "k must be an integer of at least 1, not 0"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), not 1.0"),
        ({"nesterov": True}, "Nesterov needs a momentum above 0"),
        ({"amplification_every": -1}, "not -1"),
        ({"amplification_from": -2}, "not -2"),
        ({"kernel": np.zeros((3, 3))}, r"initial kernel must be 8 x 8, not of shape \(3, 3\)"),
        ({"kernel": np.full((8, 8), np.nan)}, "initial kernel must be finite in float64"),
        ({"kernel": np.full((8, 8), 1e300), "dtype": "float32"}, "initial kernel must be finite in float32"),
        ({"dtype": "float16"}, "float32 or float64, not float16"),
        ({"dtype": "double-double"}, "float32 or float64, not double-double"),
    ],
)
def test_wrong_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        simulate(SMALL, **{"kernel": np.ones((8, 8)), "lr": 0.1, **options})
