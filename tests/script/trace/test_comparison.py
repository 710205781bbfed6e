from dataclasses import replace

import numpy as np
import pytest
from tests.script.trace.written_traces import Training, Writer

from lastbit.errors import LastbitError
from lastbit.script.audit.batches import Batch
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.records import SETTINGS, TraceEvent

ROUNDING = [
    {},
    {"fused": True},
    {"foreach": True},
    {"swapped": True, "copies": True},
    {"parts": 4},
    {"fused": True, "foreach": True, "swapped": True, "parts": 2},
]
# What is changed; the operation, its phase and step, its line; what is said of it.
OTHERS = [
    ({"lr": 0.2}, ("aten::add_", "optimizer", 0, "train.py:11"), "alpha of aten::add_, -0.1 against -0.2"),
    ({"clip": True}, ("aten::add_", "optimizer", 0, "train.py:11"), "second trace has aten::mul_ at train.py:10"),
    ({"clip": True}, ("aten::add_", "optimizer", 0, "train.py:11"), "2 times those of the second trace"),
    ({"frozen": True}, ("aten::mm", "backward", 0, "train.py:9"), "model.w1 is updated in the first trace only"),
    ({"weights": 0.01}, ("aten::mm", "forward", 0, "train.py:8"), "model.w2 was loaded or initialised differently"),
    ({"data": 1.0}, ("aten::mm", "forward", 0, "train.py:8"), "the data differ"),
    ({"parts": 4, "divided": 3}, ("aten::add_", "optimizer", 0, "train.py:11"), "0.75 times"),
    ({"steps": 2}, ("aten::mm", "forward", 2, "train.py:8"), "3 optimizer steps against 2"),
]  # fmt: skip


def envelope(record, place):
    return 1e-5


def compared(change, reference=None, noise=1e-7, envelope=envelope):
    one, other = Training(**(reference or {})), Training(**change, noise=noise)
    return compare_traces(one.writer.trace(threads=1), other.writer.trace(threads=2), envelope)


@pytest.mark.parametrize("change", ROUNDING, ids=lambda change: "+".join(change) or "noise")
def test_rounding_is_told_from_another_computation(change):
    comparison = compared(change)
    assert comparison.is_rounding
    assert comparison.beyond_rounding is None
    assert not comparison.same_bits
    assert 1e-9 < comparison.first_different.distance < 1e-6
    assert comparison.verdict.endswith("within rounding up to the end: the runs are the same computation")
    assert "threads 1 against 2" in comparison.verdict


@pytest.mark.parametrize("change", ROUNDING[1:4], ids=lambda change: "+".join(change))
def test_the_same_bits_by_other_operations_are_the_same_bits(change):
    comparison = compared(change, noise=0)
    assert comparison.same_bits
    assert comparison.is_rounding
    assert comparison.verdict.startswith("the same bits in ")
    alone = [len(comparison.ranks[0].only_first), len(comparison.ranks[0].only_second)]
    for which, count in zip(("first", "second"), alone, strict=True):
        assert (f"{count:,} operation{'s' * (count > 1)} in the {which} run alone" in comparison.verdict) == (count > 0)
    assert (sum(alone) > 0) == ("fused" in change)


def test_numbers_of_another_type_are_said():
    one, other = Training().writer.trace(), Training(noise=1e-3).writer.trace()
    records = [
        replace(record, outputs=tuple(replace(output, dtype="bfloat16") for output in record.outputs))
        for record in other.records
    ]
    count = sum(output.dtype == "float64" for record in one.records for output in record.outputs)
    comparison = compare_traces(one, replace(other, records=records), lambda record, place: 1e-1)
    assert comparison.is_rounding
    assert comparison.verdict.endswith(f"; {count} results are float64 in the first run and bfloat16 in the second")


@pytest.mark.parametrize("known", [True, False], ids=["envelope", "no envelope"])
@pytest.mark.parametrize(("change", "place", "words"), OTHERS, ids=lambda value: str(value)[:40])
def test_another_computation_is_found_and_named(change, place, words, known):
    comparison = compared(change, envelope=envelope if known else None)
    beyond = comparison.beyond_rounding
    assert (beyond.operation, beyond.phase, beyond.step, beyond.line) == place
    assert words in beyond.differs
    assert beyond.differs in comparison.verdict
    assert comparison.is_rounding is False


def _with_a_batch(trace, samples, at):
    """A trace with one batch of a loader, handed over after so many records."""
    batch = Batch("train.py:5", 0, 0, 0, None, None, samples, (), hash(samples))
    return replace(trace, batches=((at, batch),))


_OTHER_ORDER = (
    "the data differ: batch 0 (epoch 0) of the loader at train.py:5 holds samples 1, 2 in one run and 2, 1 in the"
    " other: the same samples in another order"
)


def test_the_batch_of_a_loader_that_differs_is_named():
    one, other = Training().writer.trace(), Training(data=1.0).writer.trace()
    apart = compare_traces(_with_a_batch(one, (1, 2), 3), _with_a_batch(other, (2, 1), 3), envelope)
    assert apart.beyond_rounding.differs == _OTHER_ORDER
    alike = compare_traces(_with_a_batch(one, (1, 2), 3), _with_a_batch(other, (1, 2), 3), envelope)
    assert alike.beyond_rounding.differs == "the data differ"


@pytest.mark.parametrize(("at", "named"), [(3, True), (2, False)], ids=["in a batch", "after it"])
def test_rows_that_are_put_together_for_a_batch_are_data(at, named):
    def trace(samples):
        writer, random = Writer(), np.random.default_rng(0)
        rows = writer.outside("rows", random.normal(size=(4, 8)))
        weights = writer.outside("weights", random.normal(size=(8, 8)), "model.weight")
        # Rows of one tensor are views, and have its origin.
        writer.do("stack", ["rows", "rows"], {"x": rows[list(samples)]})
        writer.do("mm", ["x", "weights"], {"y": rows[list(samples)] @ weights})
        writer.do("add", ["weights", "y"], {"w": weights + (rows[samples[0]] @ weights).sum()}, phase="optimizer")
        return _with_a_batch(writer.trace(), samples, at)

    found = compare_traces(trace((1, 2)), trace((2, 1)), envelope).beyond_rounding
    assert found.operation == "aten::stack"
    assert (found.differs == _OTHER_ORDER) is named


@pytest.mark.parametrize("change", [{"lr": 0.2}, {"clip": True}, {"weights": 0.01}], ids=str)
def test_another_computation_is_found_beside_other_operations(change):
    assert compared({**change, "fused": True, "swapped": True}).is_rounding is False
    assert compared({**change, "foreach": True}).is_rounding is False


def test_without_an_envelope_rounding_is_not_judged():
    comparison = compared({"fused": True}, envelope=None)
    assert comparison.is_rounding is None
    assert comparison.beyond_rounding is None
    assert "is not known" in comparison.verdict


def test_growth_beyond_the_envelope_is_found_where_it_begins():
    """The third step alone is noisier than rounding: the first operation whose inputs agree is named."""
    one, other = Training(), Training(noise=1e-7)
    rough = replace(other.writer.trace(), records=tuple(_rougher(r) for r in other.writer.records))
    beyond = compare_traces(one.writer.trace(), rough, envelope).beyond_rounding
    assert (beyond.operation, beyond.step, beyond.module) == ("aten::mm", 2, "model.1")
    assert beyond.distance == pytest.approx(1e-3, rel=0.5)  # of a sketch of eight numbers
    assert "the same inputs and arguments give other results" in beyond.differs


def _rougher(record):
    """Everything from the third step's second layer on is off by a thousandth."""
    if record.step < 2 or (record.step == 2 and record.site.module == "model.0" and record.site.phase == "forward"):
        return record
    return replace(record, outputs=tuple(_scaled(output, 1.001) for output in record.outputs))


def _scaled(output, factor):
    sketch = tuple(factor * part for part in output.sketch)
    return replace(output, digest=output.digest ^ 1, norm=factor * output.norm, sketch=sketch)


def test_json_has_the_agreed_names():
    place = {"operation", "index", "rank", "phase", "step", "module", "line", "distance"}
    content = compared({"lr": 0.2}).as_json()
    assert content.keys() == {
        *("same_bits", "complete", "first_different", "beyond_rounding", "ranks", "environments", "verdict"),
    }
    assert content["first_different"].keys() == place
    assert content["beyond_rounding"].keys() == place | {"differs"}
    assert [environment["threads"] for environment in content["environments"]] == [1, 2]
    assert compared({}, noise=0).as_json()["first_different"] is None


def test_of_each_step_the_distance_nearest_to_its_limit_is_in_the_json():
    steps = compared({"lr": 0.1}).as_json()["ranks"][0]["steps"]
    distances = compared({"lr": 0.1}).ranks[0].distances
    assert [row["step"] for row in steps] == [0, 1, 2]
    assert [row["distance"] for row in steps] == [distances.distance[distances.step == step].max() for step in range(3)]
    assert {row["explained"] for row in steps} == {1e-5}
    assert np.isnan([row["explained"] for row in compared({}, envelope=None).as_json()["ranks"][0]["steps"]]).all()


def test_distances_are_as_large_as_the_noise():
    distances = compared({"fused": True}).ranks[0].distances
    assert distances.index.tolist() == sorted(set(distances.index))
    assert set(distances.step) == {0, 1, 2}
    assert (distances.explained == 1e-5).all()
    assert 1e-8 < distances.distance[distances.distance > 0].mean() < 1e-6


def test_the_first_process_that_differs_is_named():
    runs = [[Training().writer.trace(rank=rank, world_size=2) for rank in (1, 0)] for _ in range(2)]
    runs[1][0] = Training(lr=0.2).writer.trace(rank=1, world_size=2)
    comparison = compare_traces(*runs, envelope)
    assert comparison.beyond_rounding.rank == 1
    assert "rank 1" in comparison.verdict


def test_a_missing_process_is_said():
    trace = Training().writer.trace(rank=0, world_size=3)
    with pytest.raises(LastbitError, match=r"3 processes: the trace of rank 1, 2 is missing"):
        compare_traces(trace, trace)


def test_traces_of_different_programs_are_refused():
    other = Writer()
    other.outside("x", [1.0, 2.0])
    for n in range(20):
        other.do("sin", ["x"], {f"y{n}": [0.5, 0.1]}, line="other.py:1")
    with pytest.raises(LastbitError, match=r"traces of different programs.*only 0 of 21 operations"):
        compare_traces(Training().writer.trace(), other.trace())


def test_an_empty_trace_is_refused():
    with pytest.raises(LastbitError, match="the second trace holds no operation"):
        compare_traces(Training().writer.trace(), Writer().trace())


@pytest.mark.parametrize("kept", [15, 20, 30])
def test_a_recording_that_was_killed_is_compared_up_to_there(kept):
    trace = Training(noise=1e-7).writer.trace(ended=False)
    cut = replace(trace, records=trace.records[:kept])
    comparison = compare_traces(Training().writer.trace(), cut, envelope)
    assert comparison.is_rounding
    assert f"ends after {kept} operations" in comparison.verdict


def with_settings(optimizer, **options):
    """A training whose optimizer's settings are recorded."""
    settings = {"optimizer": optimizer, "groups": [{"lr": options.get("lr", 0.1), "nesterov": False}]}
    return replace(Training(**options).writer.trace(), events=(TraceEvent(0, 0, SETTINGS, settings),))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (with_settings("SGD", lr=0.2), "lr 0.1 against 0.2 (argument alpha"),
        (with_settings("Lion", lr=0.2), "optimizer SGD against Lion and lr 0.1 against 0.2 (argument alpha"),
        (with_settings("Lion", clip=True), "optimizer SGD against Lion (only the second trace has aten::mul_"),
    ],
    ids=["setting", "both", "class"],
)
def test_settings_of_the_optimizer_are_named_where_they_are_recorded(other, said):
    assert compare_traces(with_settings("SGD"), other, envelope).beyond_rounding.differs.startswith(said)


def test_each_of_two_optimizers_of_one_class_has_its_settings():
    """The second comes last in either trace, and hides nothing of the first."""

    def trained(lr):
        content = [{"optimizer": "SGD", "groups": [{"lr": rate}], "number": n} for n, rate in enumerate((lr, 0.7))]
        events = tuple(TraceEvent(0, 0, SETTINGS, settings) for settings in content)
        return replace(Training(lr=lr).writer.trace(), events=events)

    found = compare_traces(trained(0.1), trained(0.2), envelope).beyond_rounding
    assert found.differs.startswith("lr 0.1 against 0.2 (argument alpha")


def told_to_stop(steps, wanted, **options):
    """A recording that was told to stop after so many steps; None for one that was not."""
    trace = Training(steps=steps, **options).writer.trace()
    return replace(trace, header=replace(trace.header, steps=wanted))


@pytest.mark.parametrize("turned", [False, True], ids=["second", "first"])
def test_a_recording_that_was_told_to_stop_is_compared_up_to_there(turned):
    """A shorter recording is no shorter program; one that came to its end before it was to stop is."""
    whole, noted = told_to_stop(4, None), "compared are the first 2 of 4 optimizer steps: one recording was told to"
    for other, rounds, same in ((told_to_stop(2, 2), True, True), (told_to_stop(2, 2, noise=1e-7), True, False),
                                (told_to_stop(2, 2, lr=0.2), False, False)):  # fmt: skip
        found = compare_traces(*((other, whole) if turned else (whole, other)), envelope)
        assert (found.is_rounding, found.same_bits, found.ranks[0].steps) == (rounds, same, 2)
        assert noted in found.verdict
    ended = compare_traces(*((told_to_stop(2, 3), whole) if turned else (whole, told_to_stop(2, 3))), envelope)
    assert "optimizer steps against" in ended.beyond_rounding.differs
    assert "told to stop" not in ended.verdict
