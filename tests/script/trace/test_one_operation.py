"""What rounding in one operation explains, against the errors of sums whose exact values are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.script.trace.written_traces import Writer, summary

from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import RoundingEnvelope, learn_envelope
from lastbit.script.trace.one_operation import EPSILON, floor_of, limit_of_one, limit_of_record
from lastbit.script.trace.sketch import summarise

UNIT = 2.0**-23


def apart(one, other):
    return float(np.linalg.norm(one.astype(float) - other) / np.linalg.norm(other))


def one_by_one(terms):
    """The sum over the first axis in single precision, term by term."""
    return np.add.accumulate(terms.astype(np.float32), axis=0)[-1]


def test_a_sum_of_a_million_is_off_by_hundreds_of_units():
    """A limit without the root of K, here 4 units or the least of 32, would call it another computation."""
    errors = []
    for seed in range(3):
        values = np.random.default_rng(seed).uniform(0.5, 1, 1_000_000).astype(np.float32)
        total = one_by_one(values)
        errors.append(apart(total, values.astype(float).sum()))
    limit = limit_of_one("aten::sum", [summary(values)], summary(total))
    assert floor_of("aten::sum", summary(total)) < max(errors) < limit
    assert limit == pytest.approx(4 * UNIT * 1000)
    mean = summary(total / np.float32(1e6))
    assert limit_of_one("aten::mean", [summary(values)], mean) == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize("cancels", [1.0, 1e-3], ids=["plain", "cancels"])
def test_a_matrix_product_is_off_by_its_terms_however_small_it_is(cancels):
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 4096)).astype(np.float32), random.normal(size=(4096, 3)).astype(np.float32)
    exact = a.astype(float) @ b
    # The part of A that B sees is taken away, but for a share.
    a = (a - (1 - cancels) * exact @ np.linalg.pinv(b.astype(float))).astype(np.float32)
    exact = a.astype(float) @ b
    given = np.stack([one_by_one(a[row][:, None] * b) for row in range(2)])
    limit = limit_of_one("aten::mm", [summary(a), summary(b)], summary(given))
    size = np.linalg.norm(a) * np.linalg.norm(b) / np.linalg.norm(exact)
    assert limit == pytest.approx(4 * UNIT * max(math.sqrt(4096), size), rel=1e-3)
    assert apart(given, exact) < limit
    assert (apart(given, exact) > floor_of("aten::mm", summary(given))) is (cancels < 1)


@pytest.mark.parametrize("name", ["mm", "convolution_backward", "sum", "tanh_backward", "native_layer_norm_backward"])
def test_limits_of_gradients_do_not_depend_on_the_scale_of_the_loss(name):
    """Scaled by a power of two, all that is linear in a gradient has the same bits but for the exponent."""
    random, limits = np.random.default_rng(0), []
    shapes = {"convolution_backward": [(4, 8, 5, 5), (4, 6, 7, 7), (8, 6, 3, 3)]}.get(name, [(16, 8), (16, 8), (16, 8)])
    gradient, *others = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    given = random.normal(size=shapes[-1]).astype(np.float32)
    for scale in (1.0, 2.0**-10, 2.0**-17):
        taken = [gradient * np.float32(scale), *(others if name != "sum" else [])]
        limits.append(limit_of_one(f"aten::{name}", [*map(summary, taken)], summary(given * np.float32(scale))))
    assert limits[0] == limits[1] == limits[2] < 1e-4


def test_a_convolution_sums_over_channels_and_taps():
    """Its limit is that of the matrix product of the patches: K = 6 · 9 terms, ‖patches‖‖W‖ / ‖C‖ at most."""
    torch.manual_seed(0)
    x, weight = torch.randn(4, 6, 8, 8), torch.randn(5, 6, 3, 3)
    given = torch.nn.functional.conv2d(x, weight, padding=1)
    patches = torch.nn.functional.unfold(x, 3, padding=1)
    expected = max(math.sqrt(54), float(patches.norm() * weight.norm() / given.norm()))
    taken = [summary(tensor.numpy()) for tensor in (x, weight)]
    limit = limit_of_one("aten::convolution", taken, summary(given.numpy()))
    assert limit / (4 * UNIT) == pytest.approx(expected, rel=0.1)


def test_a_convolution_whose_terms_cancel_is_off_by_the_size_of_its_patches():
    """Weights that add up to nothing on a nearly flat image, of which nine taps take each element."""
    torch.manual_seed(0)
    x, weight = 1 + 0.01 * torch.randn(2, 3, 32, 32), torch.randn(4, 3, 3, 3)
    weight -= weight.mean((1, 2, 3), keepdim=True)
    given = torch.nn.functional.conv2d(x, weight)
    expected = float(torch.nn.functional.unfold(x, 3).norm() * weight.norm() / given.norm())
    assert expected > 10 * math.sqrt(27)
    limit = limit_of_one("aten::convolution", [summary(x.numpy()), summary(weight.numpy())], summary(given.numpy()))
    assert limit / (4 * UNIT) == pytest.approx(expected, rel=0.1)


def half(values, dtype):
    return replace(summary(np.asarray(values, np.float32)), dtype=dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_half_precision_a_result_is_rounded_once(dtype):
    """torch's own product against the exact one: half a unit an element; other kernels may round to either side."""
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    a, b = torch.randn(64, 256).to(kind), torch.randn(256, 32).to(kind)
    given, exact = a @ b, a.double() @ b.double()
    taken = [half(tensor.float().numpy(), dtype) for tensor in (a, b)]
    limit = limit_of_one("aten::mm", taken, half(given.float().numpy(), dtype))
    assert float((given.double() - exact).norm() / exact.norm()) < limit < 1.1 * EPSILON[dtype]
    assert floor_of("aten::mm", half(given.float().numpy(), dtype)) == pytest.approx(2 * EPSILON[dtype], rel=1e-3)


def trained_in_half(factor, noise=0, dtype="bfloat16"):
    """A weight whose gradient is multiplied by a factor; with noise of up to a unit in each result."""
    fixed, random = np.random.default_rng(0), np.random.default_rng(noise)
    writer, unit = Writer(), EPSILON[dtype] if noise else 0.0

    def rounded(values):
        return values * (1 + unit / 2 * random.uniform(-1, 1, size=values.shape))

    weight, x = fixed.normal(size=(8, 8)), fixed.normal(size=(8, 8))
    writer.outside("w", weight, "model.w")
    writer.outside("x", x)
    y, g = rounded(x @ weight), rounded(factor * x)
    writer.do("mm", ["x", "w"], {"y": y})
    writer.do("sigmoid_backward", ["y"], {"g": g}, phase="backward")
    writer.do("add_", ["w", "g"], {"w'": rounded(weight - 0.5 * g)}, phase="optimizer", module="model.w")
    writer.step()
    trace = writer.trace()
    records = [replace(r, outputs=tuple(replace(o, dtype=dtype) for o in r.outputs)) for r in trace.records]
    return replace(trace, records=tuple(records))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("factor", "rounds"), [(1.0, True), (1.5, False), (1.2, False)])
def test_in_half_precision_a_wrong_gradient_is_told_from_rounding(factor, rounds, dtype):
    plain = trained_in_half(1.0, dtype=dtype)
    envelope = learn_envelope(plain, [trained_in_half(1.0, seed, dtype) for seed in (1, 2)])
    assert max(envelope.limits.values()) < 0.1
    assert compare_traces(plain, trained_in_half(factor, 3, dtype), envelope).is_rounding is rounds


def test_a_limit_that_no_distance_reaches_is_none():
    """Two ones in a sum of large parts: rounding explains anything."""
    large = np.float32([1e8, -1e8, 1.0, 1.0])
    writer = Writer()
    writer.outside("x", large)
    writer.do("sum", ["x"], {"s": np.float32([2.0])})
    trace = writer.trace()
    assert learn_envelope(trace, [trace])(trace.records[1], 0) == math.inf
    assert RoundingEnvelope({}, None)(trace.records[1], 0) is None


def test_a_product_of_positive_numbers_is_off_by_the_root_of_its_terms():
    """Nothing cancels, and the partial sums grow: the norms of the factors alone would give 4 units."""
    a, b = (np.random.default_rng(seed).uniform(0.5, 1, 65536).astype(np.float32) for seed in (0, 1))
    given, exact = one_by_one(a * b), a.astype(float) @ b
    limit = limit_of_one("aten::mm", [summary(a[None]), summary(b[:, None])], summary(given))
    assert limit == pytest.approx(4 * UNIT * 256)
    assert apart(given, exact) < limit


@pytest.mark.parametrize("name", [name for name in EPSILON if hasattr(torch, name) and "float4" not in name])
def test_a_unit_in_the_last_place_is_the_distance_to_the_next_number(name):
    """By the bits of the numbers next to 1 and next to 0; float8 has units of its own."""
    dtype = getattr(torch, name)
    real = {torch.complex64: torch.float32, torch.complex128: torch.float64, torch.complex32: torch.float16}
    dtype = real.get(dtype, dtype)
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    one = torch.ones(1).to(dtype)
    beyond = (one.view(bits) + 1).view(dtype).double() - 1
    assert EPSILON[name] == float(beyond)
    smallest = float(torch.ones(1, dtype=bits).view(dtype).double())
    if name != "float8_e8m0fnu":  # which has neither zero nor numbers next to it
        tiny = replace(summary(np.array([smallest])), dtype=name, norm=smallest)
        units = floor_of("aten::mul", tiny) / (1 + EPSILON[name])
        assert units == pytest.approx(2 if EPSILON[name] > 1e-6 else 32)


def at_one_index(name, terms):
    """What torch adds up at one index of eight, what it took, and the exact sum."""
    index, kind = torch.zeros(len(terms), dtype=torch.long), {"dtype": terms.dtype}
    exact = torch.zeros(8, dtype=torch.float64)
    exact[0] = terms.double().sum()
    if name == "cumsum":
        return terms.cumsum(0), [terms], terms.double().cumsum(0)
    if name == "embedding_dense_backward":
        given = torch.ops.aten.embedding_dense_backward(terms[:, None], index, 8, -1, False)
        return given, [terms[:, None], index], exact[:, None]
    takes = [torch.zeros(8, **kind), index, terms]
    if name == "index_put_":
        return torch.zeros(8, **kind).index_put_((index,), terms, accumulate=True), takes, exact
    return getattr(torch.zeros(8, **kind), name)(0, index, terms), takes, exact


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["index_add_", "scatter_add_", "index_put_", "embedding_dense_backward", "cumsum"])
def test_what_is_added_up_one_by_one_is_off_by_the_root_of_all_terms(name, dtype):
    """In half precision a sum of a hundredth each may stand still at 4 (bfloat16): no limit excludes that."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        draws = torch.rand(1_000_000 if dtype == torch.float32 else 4096, generator=torch.Generator().manual_seed(1))
        given, taken, exact = at_one_index(name, (0.01 + 0.01 * draws).to(dtype))
    finally:
        torch.set_num_threads(threads)
    summaries = [summarise(tensor) for tensor in taken]
    limit = limit_of_one(f"aten::{name}", summaries, summarise(given))
    off = float((given.double() - exact).norm() / exact.norm())
    assert off < limit
    if dtype != torch.float32:
        assert (limit > 1) == (name not in {"scatter_add_", "cumsum"})
        return
    floor, source = floor_of(f"aten::{name}", summarise(given)), summaries[-1] if name[-1] == "_" else summaries[0]
    assert off > floor or name == "cumsum"  # which torch sums in double precision
    assert limit == pytest.approx(4 * UNIT * 1000 * max(1.0, source.norm / float(given.norm())))


def test_what_is_put_at_indices_is_added_up_only_if_it_says_so():
    for accumulate, limit in ((True, 4 * UNIT * 8), (False, 4 * UNIT)):
        writer = Writer()
        taken = [np.zeros(8, np.float32), np.zeros(64, np.int64), np.ones(64, np.float32)]
        for label, values in enumerate(taken):
            writer.outside(label, values)
        given = np.float32([64 if accumulate else 1] + 7 * [0])
        writer.do("index_put_", [0, 1, 2], {"y": given}, accumulate=accumulate)
        found = limit_of_record(writer.records[-1], list(map(summary, taken)), summary(given))
        assert found == pytest.approx(limit)
