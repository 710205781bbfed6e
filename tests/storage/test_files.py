import os
import stat

import pytest

from lastbit.storage import files
from lastbit.storage.files import read_json, replacing, to_json, write_atomically


def test_the_file_appears_whole_with_ordinary_permissions(tmp_path):
    path = tmp_path / "new" / "file"
    plain = tmp_path / "plain"
    plain.touch()
    with replacing(path) as handle:
        handle.write(b"all of it")
        assert not path.exists()
    assert path.read_bytes() == b"all of it"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_the_bytes_are_on_disk_before_the_name_is(tmp_path, monkeypatch):
    path, synced = tmp_path / "file", []
    monkeypatch.setattr(
        files.os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, path.exists()))
    )
    with replacing(path) as handle:
        handle.write(b"all of it")
    assert synced[0] == (9, False)
    assert len(synced) == 2, "the directory is synced too, or the name may be lost"
    assert path.exists()


def write_half(path, stop):
    with replacing(path) as handle:
        handle.write(b"half")
        raise stop


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_what_was_there_survives_a_failure(tmp_path, stop):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(stop):
        write_half(path, stop)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_write_atomically_replaces_the_whole_content(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"a longer first content")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"


def test_json_is_canonical_and_null_where_not_finite():
    assert (
        to_json({"b": float("nan"), "a": [float("inf"), 1.5, (2,)], 3: "é"})
        == '{"3": "é", "a": [null, 1.5, [2]], "b": null}'
    )


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_broken_json_is_named(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"results\.json is not valid JSON"):
        read_json(path)
