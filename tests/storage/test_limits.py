import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.storage.files import read_json, to_json
from lastbit.storage.limits import MOST_DEPTH, check_depth, parse_json, read_limited

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_what_we_write_is_read_back_as_python_reads_it(content):
    text = to_json(content)
    assert parse_json(text.encode(), "x") == json.loads(text)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_what_is_not_finite_is_nothing(text):
    assert parse_json(f"[{text}, 1.5]".encode(), "x") == [None, 1.5]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"1" * 5000, "x is not valid JSON (a whole number of 5,000 digits)"),
        (b"[" * 100_000, "x nests deeper than 64 levels"),
        (b"[" * 100 + b"]" * 100, "x nests deeper than 64 levels"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "x nests deeper than 64 levels"),
        (b'["\\ud800"]', "x is not valid JSON (half a surrogate pair)"),
        (b'{"\\uDFFF": 1}', "x is not valid JSON (half a surrogate pair)"),
        (b"\xff", "x is not valid JSON ('utf-8' codec"),
        (b"", "x is not valid JSON (Expecting value"),
        (b"{'a': 1}", "x is not valid JSON"),
    ],
)
def test_hostile_json_is_one_line(content, said):
    with pytest.raises(ValueError, match=r"^x ") as wrong:
        parse_json(content, "x")
    assert str(wrong.value).startswith(said)
    assert "\n" not in str(wrong.value)


def test_a_whole_surrogate_pair_and_a_long_number_are_read():
    assert parse_json(b'["\\ud83d\\ude00"]', "x") == ["😀"]
    assert math.isfinite(float(parse_json(b"9" * 300, "x")))


def test_depth_is_counted_in_containers():
    nest = 1
    for _ in range(MOST_DEPTH):
        nest = [nest]
    check_depth(nest, "x")
    with pytest.raises(ValueError, match="x nests deeper"):
        check_depth({"a": nest}, "x")


def test_files_are_measured_before_they_are_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_limited(path, 5) == b"12345"
    with pytest.raises(ValueError, match="file has 5 bytes, and at most 4 bytes are read"):
        read_limited(path, 4)
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: a terabyte that takes no room
    with pytest.raises(ValueError, match="has 1,048,576 MiB, and at most 128 MiB are read"):
        read_json(path)


@pytest.mark.parametrize("kind", ["pipe", "directory", "device", "missing", "loop"])
def test_what_is_no_ordinary_file_is_not_opened(tmp_path, kind):
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    with pytest.raises(ValueError, match=f"{kind} cannot be read: "):
        read_limited(path, 10)


def test_a_large_limit_takes_no_memory(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert read_limited(tmp_path / "a", 1 << 50) == b"abc"
