import os
import stat

import pytest

from lastbit.training.data import atomic
from lastbit.training.data.atomic import replacing


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
        atomic.os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, path.exists()))
    )
    with replacing(path) as handle:
        handle.write(b"all of it")
    assert synced == [(9, False)]
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
