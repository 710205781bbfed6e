"""Runs that multiply float32 in TF32, or flush the smallest numbers, against runs that do not."""

import numpy as np
import pytest
from tests.script.trace.written_traces import Writer, summary

from lastbit.script.trace.coarser import CoarserNumerics, products_against
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import learn_envelope
from lastbit.script.trace.one_operation import product_kind

NAME = "onednn_matmul_precision"


def in_tf32(values):
    """Rounded to 10 bits behind the point, as tensor cores take float32."""
    return ((values.view(np.int32) + 0x1000) & ~0x1FFF).view(np.float32)


def trained(*, tf32=False, factor=1.0, noise=0, **numerics):
    """A product, what becomes of it, and an update."""
    random, noises = np.random.default_rng(0), np.random.default_rng(noise)
    a, b = (random.normal(size=(64, 64)).astype(np.float32) for _ in range(2))

    def rounded(values):
        units = noises.integers(-16, 17, values.shape) if noise else 0
        return (values * (1 + units * 2.0**-23)).astype(np.float32)

    writer = Writer()
    writer.outside("a", a)
    writer.outside("b", b, "model.b")
    c = rounded(in_tf32(a) @ in_tf32(b) if tf32 else a @ b) * np.float32(factor)
    writer.do("mm", ["a", "b"], {"c": c})
    t = rounded(np.tanh(c / 8))
    writer.do("tanh", ["c"], {"t": t})
    writer.do("add_", ["b", "t"], {"b'": rounded(b - np.float32(0.1) * t)}, phase="optimizer", module="model.b")
    writer.step()
    return writer.trace(**numerics)


PLAIN = trained(**{NAME: "ieee"})
ENVELOPE = learn_envelope(PLAIN, [trained(noise=seed) for seed in (1, 2)])


def test_tf32_against_float32_is_rounding_and_is_named():
    found = compare_traces(PLAIN, trained(tf32=True, **{NAME: "tf32"}), ENVELOPE)
    assert found.is_rounding
    assert "float32 products ieee against tf32" in found.verdict
    assert compare_traces(trained(tf32=True, **{NAME: "tf32"}), PLAIN, ENVELOPE).is_rounding
    assert 1e-4 < found.first_different.distance < 1e-3


@pytest.mark.parametrize(("change", "setting"), [({"tf32": True}, "ieee"), ({"tf32": True, "factor": 1.2}, "tf32")])
def test_what_no_setting_explains_is_another_computation(change, setting):
    assert compare_traces(PLAIN, trained(**change, **{NAME: setting}), ENVELOPE).is_rounding is False


def test_two_runs_of_one_setting_on_one_machine_are_judged_as_the_noise_shows():
    one, other = (trained(tf32=True, factor=factor, **{NAME: "tf32"}) for factor in (1.0, 1.001))
    assert compare_traces(one, other, ENVELOPE).is_rounding is False
    elsewhere = trained(tf32=True, factor=1.001, processor="other", **{NAME: "tf32"})
    assert compare_traces(one, elsewhere, ENVELOPE).is_rounding


def updated(*, flushes, scale=1.0):
    """The square of a gradient, whose elements are below the smallest normal number, in an update."""
    writer, gradient = Writer(), np.float32(np.linspace(1, 2, 64) * 1e-20)
    square = np.zeros(64, np.float32) if flushes else gradient * gradient
    writer.outside("w", np.ones(64, np.float32), "model.w")
    writer.outside("g", gradient)
    writer.do("addcmul_", ["g"], {"v": square * np.float32(scale)}, phase="optimizer")
    writer.do("sqrt", ["v"], {"s": np.sqrt(square)}, phase="optimizer")
    writer.do("addcdiv_", ["w", "s"], {"w'": np.ones(64, np.float32) * scale}, phase="optimizer", module="model.w")
    writer.step()
    return writer.trace(flush_denormal=flushes)


def test_flushed_numbers_are_rounding_and_are_named():
    for flushes in (True, False):
        one, other = updated(flushes=flushes), updated(flushes=not flushes)
        found = compare_traces(one, other, learn_envelope(one, [one]))
        assert found.is_rounding
        kept = " against ".join("0" if flushed else "kept" for flushed in (flushes, not flushes))
        assert f"numbers below the smallest normal one {kept}" in found.verdict
    one = updated(flushes=False)
    assert compare_traces(one, updated(flushes=True, scale=1.1), learn_envelope(one, [one])).is_rounding is False


def test_which_setting_is_which_operation_s():
    kinds = {"mm": "matmul", "convolution_backward": "conv", "lstm": "rnn", "_efficient_attention_forward": "matmul"}
    for name, kind in kinds.items():
        assert product_kind(f"aten::{name}") == kind
    assert product_kind("aten::tanh") is None
    traces = trained(cuda_matmul_precision="tf32"), trained()
    given = summary(np.float32([1.0]))
    assert CoarserNumerics(*traces).unit("aten::mm", given) == 0, "of a device that neither uses"
    assert products_against({"cudnn_conv_precision": "tf32"}, {}) == ["float32 products tf32 against ieee"]
