"""The file of a trace gives back what was written, or all of it that is whole, or one clear line."""

import math
import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.errors import LastbitError
from lastbit.script.audit.generators import Generators
from lastbit.script.trace.format import (
    BLOCK,
    COLUMNS,
    HEADER,
    MAGIC,
    pack_block,
    pack_floats,
    piece,
    pieces,
    unpack_floats,
)
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.records import FORMAT, NUMERICS, Site, TensorSummary, TraceEvent, TraceHeader
from lastbit.script.trace.writer import TraceWriter

HEAD = TraceHeader(
    format=FORMAT,
    command=("train.py", "--lr", "0.1"),
    numerics={"torch": "2.9.1", "threads": 1, "autocast": False, "mkl": None},
    packages={"torch": "2.9.1"},
    environment={"OMP_NUM_THREADS": "1"},
    rank=1,
    world_size=2,
    steps=None,
    started="2026-01-01T00:00:00+00:00",
)
ADD = Site("aten::add", "forward", "model.0", "train.py:3", None, (("dims", "[1, 2]"),), ("alpha", "beta"))
MM = Site("aten::mm", "backward", None, None, "train.py:9", (), ())
BIG = TensorSummary((2, 3), "float32", "cpu", 2**64 - 5, 1.5, (0.5, -1.0))
STRANGE = TensorSummary((4,), "float32", "cpu", None, math.nan, ())
STATE = Generators(1, 2, 3, 4)


def write_three(path):
    """Three records in two blocks."""
    writer = TraceWriter(path, HEAD)
    add, mm = writer.site(ADD), writer.site(MM)
    assert writer.add(add, step=0, inputs=[None], numbers=["1.5", "-2"], outputs=[BIG, BIG]) == 0
    writer.state(0, STATE)
    writer.event(NUMERICS, step=0, content={"threads": 2})
    writer.flush()
    writer.add(mm, step=1, inputs=[(0, 1), (0, 0), None], numbers=[], outputs=[])
    writer.add(add, step=1, inputs=[(0, 1)], numbers=["1.5", "3"], outputs=[STRANGE, BIG])
    writer.state(1, replace(STATE, torch_state=9))
    return writer


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.trace"
    write_three(path).end({"operations inside torch.jit.trace": 2})
    return path


def test_what_was_written_is_read(path):
    trace = read_trace(path)
    one, two, three = trace.records
    assert (trace.header, trace.ended, trace.torn, trace.steps) == (HEAD, True, 0, 1)
    assert trace.generators == {0: STATE, 1: replace(STATE, torch_state=9)}
    assert trace.events == (TraceEvent(at=1, step=0, kind=NUMERICS, content={"threads": 2}),)
    assert trace.numerics == {"threads": 2}
    assert trace.unseen == {"operations inside torch.jit.trace": 2}
    assert (one.site, one.inputs, one.numbers, one.outputs) == (ADD, (None,), ("1.5", "-2"), (BIG, BIG))
    assert one.arguments == {"dims": "[1, 2]", "alpha": "1.5", "beta": "-2"}
    assert (two.index, two.step, two.site, two.inputs, two.outputs) == (1, 1, MM, ((0, 1), (0, 0), None), ())
    assert (three.inputs, three.numbers, three.outputs[1]) == (((0, 1),), ("1.5", "3"), BIG)
    assert three.outputs[0].digest is None
    assert math.isnan(three.outputs[0].norm)


def test_records_are_a_sequence(path):
    records = read_trace(path).records
    assert len(records) == 3
    assert records[-1] == records[2]
    assert [record.index for record in records[1:]] == [1, 2]
    with pytest.raises(IndexError):
        records[3]


def test_cut_at_any_byte_it_gives_whole_blocks_or_one_line(path, tmp_path):
    whole, cut = path.read_bytes(), tmp_path / "cut.trace"
    seen = set()
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        try:
            trace = read_trace(cut)
        except LastbitError as error:
            message = str(error)
            assert "\n" not in message
            seen.add(next(why for why in ("is empty", "before its header", "within its header") if why in message))
            continue
        assert not trace.ended
        records = list(trace.records)
        assert records[:1] == list(read_trace(path).records)[: len(records)][:1]
        seen.add((len(records), bool(trace.torn)))
    assert seen == {
        *("is empty", "before its header", "within its header"),
        *((0, False), (0, True), (1, False), (1, True), (3, False), (3, True)),
    }


def test_a_changed_byte_is_never_read(path, tmp_path):
    whole, changed = path.read_bytes(), tmp_path / "changed.trace"
    right = list(map(repr, read_trace(path).records))
    for place in range(0, len(whole), 7):
        changed.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            trace = read_trace(changed)
        except LastbitError:
            continue
        assert trace.torn
        assert list(map(repr, trace.records)) == right[: len(trace.records)]


def test_a_file_that_is_no_trace(tmp_path):
    path = tmp_path / "x.trace"
    path.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(LastbitError, match=r"x.trace is no trace: lastbit audit --record makes one"):
        read_trace(path)
    with pytest.raises(LastbitError, match=r"missing.trace cannot be read: No such file"):
        read_trace(tmp_path / "missing.trace")


def test_another_format(tmp_path):
    path = tmp_path / "x.trace"
    path.write_bytes(MAGIC + piece(HEADER, b'{"format": 7, "anything": [1]}'))
    with pytest.raises(LastbitError, match="is a trace of format 7, and this version of lastbit reads format 2"):
        read_trace(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 64,
        struct.pack("<II", 2**31, 2**31) + b"x" * 40,
        struct.pack("<II", 8, 4) + b"no zlib!",
    ],
)
def test_a_block_that_nobody_wrote(path, content):
    path.write_bytes(path.read_bytes() + piece(BLOCK, content))
    with pytest.raises(LastbitError, match="holds what no version of lastbit wrote"):
        read_trace(path)


@pytest.mark.parametrize("column", range(len(COLUMNS)))
def test_columns_that_do_not_belong_together_take_no_memory(path, column):
    """As a length of 4 billion inputs, or a site that is not there."""
    columns = [[0], [0], [0], [0], [], [], ["1.5", "-2"], []]
    columns[6] = [0, 0]
    columns[column] = [2**32 - 1] * max(1, len(columns[column]))
    if column == 1:  # any number of steps may be
        columns[column] = [0, 0]
    table = b'{"sites": [], "kinds": [], "numbers": [], "events": [], "states": []}'
    path.write_bytes(path.read_bytes() + piece(BLOCK, pack_block(table, columns, [], [])))
    with pytest.raises(LastbitError, match="holds what no version of lastbit wrote"):
        list(read_trace(path).records)


@pytest.mark.parametrize(("back", "place"), [(1, 2), (1, 2**32 - 1), (4, 0)])
def test_an_input_that_no_record_gave(path, back, place):
    """The last record before the block gives two tensors, and three records are all there are."""
    table = b'{"sites": [], "kinds": [], "numbers": [], "events": [], "states": []}'
    whole = path.read_bytes()
    for made, wrong in (((1, 1), False), ((back, place), True)):
        columns = [[1], [1], [1], [0], [made[0]], [made[1]], [], []]
        path.write_bytes(whole + piece(BLOCK, pack_block(table, columns, [], [])))
        if not wrong:
            assert read_trace(path).records[3].inputs == ((2, 1),)
            continue
        with pytest.raises(LastbitError, match="its columns do not belong together"):
            read_trace(path)


def test_a_header_that_nobody_wrote(tmp_path):
    path = tmp_path / "x.trace"
    for content in (b"[1]", b'{"format": 2}', b"{}"):
        path.write_bytes(MAGIC + piece(HEADER, content))
        with pytest.raises(LastbitError, match="holds what no version of lastbit wrote"):
            read_trace(path)


def test_a_piece_of_a_kind_yet_unknown_is_passed_over(path):
    known = read_trace(path)
    path.write_bytes(path.read_bytes() + piece(b"MORE", b"of it"))
    assert (len(read_trace(path).records), read_trace(path).torn) == (len(known.records), 0)


def test_no_file_is_written_over(path):
    before = path.read_bytes()
    with pytest.raises(LastbitError, match=r"a.trace cannot be written: there is a file of this name"):
        TraceWriter(path, HEAD)
    assert path.read_bytes() == before
    with pytest.raises(LastbitError, match="No such file or directory"):
        TraceWriter(path.parent / "missing" / "a.trace", HEAD)


@given(st.lists(st.floats(width=64), min_size=1))
@settings(max_examples=200, deadline=None)
def test_floats_keep_36_bits_of_their_significand(values):
    before = np.array(values)
    after = unpack_floats(pack_floats(before))
    assert len(pack_floats(before)) == 6 * len(values)
    np.testing.assert_array_equal(np.isnan(after), np.isnan(before))
    normal = np.isfinite(before) & (np.abs(before) > 1e-300) & (np.abs(before) < 1e300)
    np.testing.assert_allclose(after[normal], before[normal], rtol=2.0**-37)
    infinite = np.isinf(before)
    np.testing.assert_array_equal(after[infinite], before[infinite])


def test_an_altered_file_is_told_from_one_that_was_cut(path):
    whole = path.read_bytes()
    ends = [end for _, _, end in pieces(whole)]
    assert not any(read_trace_of(path, whole[:length]).damaged for length in range(ends[0], len(whole) + 1))
    for begin, end in pairwise(ends[:-1]):  # of the blocks, behind which whole pieces follow
        for place in range(begin, end):
            changed = whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :]
            trace = read_trace_of(path, changed)
            assert (trace.damaged, trace.ended, trace.torn) == (True, False, len(whole) - begin)


def read_trace_of(path, content):
    path.write_bytes(content)
    return read_trace(path)
