"""What rounding explains, learnt from runs with noise, against runs whose errors are known."""

import math

import numpy as np
import pytest
from tests.script.trace.written_traces import Training, Writer

from lastbit.errors import LastbitError
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import learn_envelope, read_envelopes, write_envelopes
from lastbit.script.trace.places import MARGIN, RoundingEnvelope
from lastbit.script.trace.rounding import carried_over
from lastbit.storage.files import read_checksummed, write_checksummed


def trained(**options):
    return Training(**options).writer.trace()


@pytest.fixture(scope="module")
def plain():
    return trained()


@pytest.fixture(scope="module")
def envelope(plain):
    return learn_envelope(plain, [trained(noise=1e-7, noise_seed=seed) for seed in (3, 4)])


def test_errors_as_large_as_the_noise_and_some_times_larger_are_inside(plain, envelope):
    for size in (1e-7, 3e-7):
        comparison = compare_traces(plain, trained(noise=size, noise_seed=9), envelope)
        assert comparison.is_rounding
        assert "within rounding up to the end" in comparison.verdict


@pytest.mark.parametrize("change", [{"noise": 1e-4}, {"data": 1e-4}, {"weights": 1e-4}, {"lr": 0.1001}], ids=str)
def test_what_is_a_thousand_times_larger_is_outside(plain, envelope, change):
    comparison = compare_traces(plain, trained(**change), envelope)
    assert comparison.beyond_rounding.step == 0
    assert comparison.is_rounding is False


def test_the_limit_is_the_margin_times_the_noise(plain, envelope):
    """One product of independent relative errors of 1e-7 is off by about that; no limit falls from step to step."""
    products = [record for record in plain.records if record.site.name == "aten::mm" and record.step == 0]
    assert all(0.2e-7 < envelope(record, 0) / MARGIN < 5e-7 for record in products)
    by_step = [
        [envelope(record, 0) for record in plain.records if record.step == step and record.inputs] for step in range(3)
    ]
    assert all(earlier <= later for earlier, later in zip(by_step[0], by_step[2], strict=True))


def test_a_norm_may_differ_by_twice_what_the_noise_parts_values_by():
    """The noise turns a result and leaves its norm; a kernel's errors may all go along it, and change that."""

    def turned(angle):
        writer = Writer()
        writer.outside("x", np.array([1.0, 0.0]))
        writer.do("exp", ["x"], {"y": np.array([np.cos(angle), np.sin(angle)])})
        return writer.trace()

    plain = turned(0.0)
    learnt = learn_envelope(plain, [turned(0.01), turned(-0.005)])
    distance = 2 * math.sin(0.01 / 2)
    assert learnt(plain.records[1], 0) == pytest.approx(MARGIN * distance)
    assert learnt.growth(plain.records[1], 0) == pytest.approx(2 * distance)


def doubling(start, steps):
    """A weight that is updated by x -> 4 x (1 - x), whose errors double with each step."""
    writer, x = Writer(), start
    writer.outside("x0", np.array([x]), "model.x")
    for step in range(steps):
        x = 4 * x * (1 - x)
        writer.do("mul_", [f"x{step}"], {f"x{step + 1}": np.array([x])}, phase="optimizer", module="model.x")
        writer.step()
    return writer.trace()


def test_where_chaos_has_grown_the_noise_nothing_can_be_told():
    """A distance of 1e-9 is 0.1 after log2(1e8) = 26.6 doublings; the margin makes the limit useless before."""
    envelope = learn_envelope(doubling(0.3, 45), [doubling(0.3 * (1 + sign * 1e-9), 45) for sign in (1, -1)])
    assert 20 <= envelope.saturated_at <= 30
    last = doubling(0.3, 45).records[-1]
    assert envelope(last, 0) == math.inf


def of_one_operation(name, taken, given, **arguments):
    writer = Writer()
    for label, values in taken.items():
        writer.outside(label, values)
    writer.do(name, list(taken), {"result": given}, **arguments)
    return writer.trace()


@pytest.mark.parametrize("seed", range(5))
def test_sums_in_another_order_are_inside_however_much_cancels(seed):
    values = np.random.default_rng(seed).normal(size=4096)
    values = (values - values.mean() + 1 / 4096).astype(np.float32)  # a sum of 1, of terms whose norm is 64
    forwards = np.add.accumulate(values)[-1:]
    backwards = np.add.accumulate(values[::-1])[-1:]
    assert forwards != backwards
    one, other = (of_one_operation("sum", {"x": values}, total) for total in (forwards, backwards))
    assert abs(forwards - backwards) > 32 * 2.0**-23 * abs(forwards), "or the least that is explained would do"
    assert compare_traces(one, other, learn_envelope(one, [one])).is_rounding
    wrong = of_one_operation("sum", {"x": values}, forwards + np.float32(0.5))
    assert compare_traces(one, wrong, learn_envelope(one, [one])).beyond_rounding is not None


@pytest.mark.parametrize(
    ("name", "taken", "result"),
    [
        ("mul", {"x": np.full(64, 3.0, np.float32), "small": np.full(64, 1e-6, np.float32)}, 3e-6),
        ("div", {"x": np.full(64, 3.0, np.float32), "large": np.full(64, 1e6, np.float32)}, 3e-6),
        # As Adam's first mean of squares: 0 + 0.001 g g.
        ("addcmul_", {"x": np.zeros(64, np.float32), **{g: np.full(64, 0.1, np.float32) for g in ("g", "h")}}, 1e-5),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_product_cancels_nothing_however_small_it_is(name, taken, result):
    """The factors are up to a million times larger, whose last bits would explain anything."""
    given = np.full(64, result, np.float32)
    one = of_one_operation(name, taken, given)
    envelope = learn_envelope(one, [one])
    assert compare_traces(one, of_one_operation(name, taken, np.nextafter(given, 1)), envelope).is_rounding
    wrong = of_one_operation(name, taken, given * np.float32(1 + 1e-4))
    assert compare_traces(one, wrong, envelope).beyond_rounding is not None


def of_lists(sums):
    """Two additions in one operation on lists: the first of a million parts with what nearly cancels them."""
    taken = {"a": np.full(8, 1e6, np.float32), "b": np.ones(8, np.float32), "c": 1 - np.full(8, 1e6, np.float32)}
    writer = Writer()
    for label, values in (taken | {"d": np.ones(8, np.float32)}).items():
        writer.outside(label, values)
    writer.do("_foreach_add_", ["a", "b", "c", "d"], {f"sum{n}": values for n, values in enumerate(sums)})
    return writer.trace()


@pytest.mark.parametrize(("factors", "rounds"), [((1 + 1e-2, 1), True), ((1, 1 + 1e-2), False)])
def test_of_an_operation_on_lists_each_part_has_a_limit_of_its_own(factors, rounds):
    sums = [np.full(8, size, np.float32) for size in (1, 2)]
    one = of_lists(sums)
    other = of_lists([values * np.float32(factor) for values, factor in zip(sums, factors, strict=True)])
    assert compare_traces(one, other, learn_envelope(one, [one])).is_rounding is rounds


def test_which_of_two_equals_is_larger_is_not_judged():
    scores = np.array([1.0, 2.0, 2.0])
    one, other = (of_one_operation("argmax", {"x": scores}, np.array([place])) for place in (1, 2))
    assert compare_traces(one, other, learn_envelope(one, [one])).is_rounding
    counts = np.array([1, 2, 3])
    one, other = (of_one_operation("add", {"x": counts}, counts + more) for more in (1, 2))
    assert not compare_traces(one, other, learn_envelope(one, [one])).is_rounding


def one_of_a_pool(place, largest=2.0):
    writer = Writer()
    writer.outside("x", np.array([1.0, 2.0, 2.0]))
    writer.do("max_pool2d_with_indices", ["x"], {"largest": np.array([largest]), "place": place})
    return writer.trace()


def test_a_maximum_is_judged_and_its_place_is_not():
    one = one_of_a_pool(np.array([1]))
    envelope = learn_envelope(one, [one])
    assert envelope(one.records[1], 0) < 1e-12
    assert envelope(one.records[1], 1) == math.inf
    assert compare_traces(one, one_of_a_pool(np.array([2])), envelope).is_rounding
    assert compare_traces(one, one_of_a_pool(np.array([1]), 2.1), envelope).is_rounding is False


def backwards(*, noise=0, factor=1.0):
    """The gradients of a layer before a normalisation: that of the bias is 0 but for rounding, the others are not.

    Args:
        noise: seed of relative noise of 1e-7; 0 for none.
        factor: of the gradients of all that the layer gives.
    """
    fixed, random = np.random.default_rng(5), np.random.default_rng(noise)
    size = 1e-7 if noise else 0.0
    writer, values = Writer(), {name: fixed.normal(size=(8, 8)) for name in ("given", "weight", "inputs")}
    writer.outside("given", values["given"])
    weight = writer.outside("weight", values["weight"], "layer.weight")
    bias = writer.outside("bias", fixed.normal(size=8), "layer.bias")
    gradients = [values[name] * factor * (1 + size * random.normal(size=(8, 8))) for name in ("inputs", "given")]
    vanishing = 1e-9 * random.normal(size=8)
    writer.do("convolution_backward", ["given"], dict(zip(("gi", "gw", "gb"), [*gradients, vanishing], strict=True)),
              phase="backward", module="layer")  # fmt: skip
    writer.do("add_", ["weight", "gw"], {"weight'": weight - gradients[1]}, phase="optimizer", module="layer.weight")
    writer.do("add_", ["bias", "gb"], {"bias'": bias - vanishing}, phase="optimizer", module="layer.bias")
    writer.step()
    return writer.trace()


def test_a_vanishing_gradient_hides_none_beside_it():
    """An envelope of one limit for all three would end at the update, and blame it for what the layer did."""
    plain = backwards()
    envelope = learn_envelope(plain, [backwards(noise=seed) for seed in (1, 2)])
    layer = next(record for record in plain.records if record.site.name == "aten::convolution_backward")
    limits = [envelope(layer, place) for place in range(3)]
    assert max(limits[:2]) < 1e-5
    assert limits[2] == math.inf
    assert compare_traces(plain, backwards(noise=3), envelope).is_rounding
    beyond = compare_traces(plain, backwards(factor=1.01), envelope).beyond_rounding
    assert (beyond.index, beyond.operation, beyond.module) == (layer.index, layer.site.name, "layer")


def test_the_distance_of_an_operation_is_that_of_its_result_that_is_farthest_beyond_its_limit():
    plain = backwards()
    envelope = learn_envelope(plain, [backwards(noise=seed) for seed in (1, 2)])
    distances = compare_traces(plain, backwards(noise=3, factor=1.01), envelope).ranks[0].distances
    layer = distances.index.tolist().index(3)
    assert distances.distance[layer] == pytest.approx(0.01, rel=0.7)  # of a sketch; that of the vanishing one is near 1
    assert 1e-8 < distances.explained[layer] < 1e-5
    unknown = compare_traces(plain, backwards(noise=3)).ranks[0].distances
    assert unknown.distance[layer] > 0.5, "without an envelope the largest counts"


def test_an_envelope_is_carried_over_output_by_output():
    plain = backwards()
    envelope = learn_envelope(plain, [backwards(noise=seed) for seed in (1, 2)])
    assert carried_over([envelope], [plain], [plain]) == [envelope]
    (carried,) = carried_over([envelope], [plain], [backwards(noise=3)])
    layer = plain.records[3]
    assert [carried(layer, place) for place in range(2)] == [envelope(layer, place) for place in range(2)]


def test_of_several_ranks_the_largest_limit_is_carried_to_one_process():
    one = doubling(0.3, 5)
    ranks = [
        RoundingEnvelope({(5, 0): limit, (4, 0): 1e-6}, saturated) for limit, saturated in ((1e-6, None), (1e-5, 4))
    ]
    (carried,) = carried_over(ranks, [one, one], [one])
    assert (carried.limits[5, 0], carried.limits[4, 0], carried.saturated_at) == (1e-5, 1e-6, 4)
    assert carried.limits[3, 0] == math.inf
    both = carried_over(ranks, [one, one], [one, one])
    assert [(envelope.limits[5, 0], envelope.saturated_at) for envelope in both] == [(1e-6, None), (1e-5, 4)]


def test_it_is_kept_beside_its_trace_and_no_other(tmp_path, plain, envelope):
    trace, other, kept = (tmp_path / name for name in ("a.trace", "b.trace", "a.rounding"))
    trace.write_bytes(b"one")
    other.write_bytes(b"another")
    chaotic = learn_envelope(doubling(0.3, 45), [doubling(0.3 + 1e-9, 45)])
    pooled = one_of_a_pool(np.array([3]))
    for each in (envelope, chaotic, learn_envelope(pooled, [pooled])):
        write_envelopes(kept, {trace: each, other: envelope})
        assert read_envelopes(kept, [trace, other]) == [each, envelope]
    with pytest.raises(LastbitError, match=r"of another trace than .*b\.trace"):
        read_envelopes(kept, [other, trace])
    with pytest.raises(LastbitError, match=r"a\.rounding is what rounding explains of 2 processes, and .* is of 1"):
        read_envelopes(kept, [trace])
    write_checksummed(kept, {**read_checksummed(kept), "format": 9})
    with pytest.raises(LastbitError, match="has format 9, and this version of lastbit reads 4"):
        read_envelopes(kept, [trace, other])
    kept.write_text(kept.read_text().replace("9", "8"))
    with pytest.raises(LastbitError, match="checksum"):
        read_envelopes(kept, [trace, other])
