"""A difference that an operation takes in with its inputs, within their limits, is followed to where it begins."""

from dataclasses import replace

import numpy as np
import pytest
from tests.script.trace.written_traces import Writer

from lastbit.script.audit.batches import Batch
from lastbit.script.trace.comparison import compare_traces

# What rounding explains, by operation: that of `mul`, which takes the result of `add`, is the smallest.
LIMITS = {"aten::stack": 1e-6, "aten::mm": 0.9, "aten::add": 0.9, "aten::mul": 1e-5, "aten::sub_": 1e-6}
RANDOM = np.random.default_rng(0)
ROWS, WEIGHTS = RANDOM.normal(size=(2, 16)), RANDOM.normal(size=(16, 16))


def envelope(record, place):
    return LIMITS.get(record.site.name, 1e-6)


class Run:
    """A batch of two samples, a layer, and an update; `mul` is the last before it."""

    def __init__(self, *, cast=False, flip=False, rows=ROWS, noise=0.0, samples=(1, 2)):
        writer, scale = Writer(), 1 + noise * np.random.default_rng(1).normal(size=(2, 16))
        writer.outside("w", WEIGHTS, "model.weight")
        for place, row in enumerate(rows):
            writer.outside(f"row{place}", row)
        taken = ["row0", "row1"]
        if flip:
            rows = np.stack([rows[0], rows[1][::-1]])
            writer.do("flip", ["row1"], {"flipped": rows[1]}, line="train.py:3")
            taken[1] = "flipped"
        writer.do("stack", taken, {"x": rows}, line="train.py:5")
        samples = Batch("train.py:5", 0, 0, 0, None, None, (3, 17), samples, hash(samples))
        batch = len(writer.records), samples
        hidden, label = rows @ WEIGHTS * scale, "h"
        writer.do("mm", ["x", "w"], {"h": hidden}, line="train.py:7")
        if cast:
            short = hidden.astype(np.float16)
            hidden, label = short.astype(float), "long"
            writer.do("_to_copy", ["h"], {"short": short}, line="train.py:8", dtype="float16")
            writer.do("_to_copy", ["short"], {"long": hidden}, line="train.py:8", dtype="float64")
        writer.do("add", [label], {"a": hidden + 1}, line="train.py:9", other=1)
        writer.do("mul", ["a"], {"m": 2 * (hidden + 1)}, line="train.py:10", other=2)
        update = WEIGHTS - np.tile((2 * (hidden + 1)).mean(0), (16, 1))
        writer.do("sub_", ["w", "m"], {"v": update}, phase="optimizer", line="train.py:11")
        writer.step()
        self.trace = replace(writer.trace(), batches=(batch,))


def beyond(**changes):
    return compare_traces(Run().trace, Run(**changes).trace, envelope).beyond_rounding


def test_a_cast_of_one_run_is_named_and_not_the_operation_whose_limit_is_smallest():
    found = beyond(cast=True)
    assert (found.operation, found.line) == ("aten::add", "train.py:9")
    assert found.differs.startswith("only the second trace has aten::_to_copy to 'float16' at train.py:8")


@pytest.mark.parametrize("change", [{"flip": True}, {"rows": np.stack([ROWS[0], ROWS[1][::-1]])}], ids=["flip", "read"])
def test_other_contents_of_a_sample_are_named_as_the_loader_had_them(change):
    found = beyond(samples=(1, 9), **change)
    assert found.operation == "aten::stack"
    assert found.differs.startswith(
        "the data differ: batch 0 (epoch 0) of the loader at train.py:5 holds the same samples, and sample 17 has"
        " other contents"
    )
    assert ("only the second trace has aten::flip at train.py:3" in found.differs) is ("flip" in change)


def test_an_operation_whose_inputs_only_round_keeps_the_blame():
    found = beyond(noise=1e-3)
    assert (found.operation, found.line) == ("aten::mul", "train.py:10")
    assert "a kernel computes something else" in found.differs
