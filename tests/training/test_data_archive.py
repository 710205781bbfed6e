import io
import tarfile

import pytest

from lastbit.training.data.archive import read_members


def make_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_members_come_by_base_name_whatever_the_order(tmp_path, mode):
    path = make_tar(tmp_path / "a.tar", {"package/b": b"two", "package/other": b"-", "package/a": b"one"}, mode)
    assert read_members(path, ["package/a", "package/b"], limit=3) == {"a": b"one", "b": b"two"}


def test_nothing_is_written(tmp_path):
    path = make_tar(tmp_path / "a.tar", {"../outside": b"bad", "/absolute": b"bad", "package/a": b"one"})
    read_members(path, ["package/a", "../outside"], limit=3)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"package/b": b"one"}, "lacks package/a"),
        ({"package/a": None}, "package/a is not a regular file"),
        ({"package/a": b"four"}, "package/a has 4 bytes, more than the 3 allowed"),
    ],
)
def test_what_is_missing_linked_or_too_large_is_refused(tmp_path, members, complaint):
    path = make_tar(tmp_path / "a.tar", members)
    with pytest.raises(ValueError, match=complaint):
        read_members(path, ["package/a"], limit=3)


def test_a_truncated_archive_is_refused(tmp_path):
    path = make_tar(tmp_path / "a.tar", {"package/a": bytes(range(256)) * 100})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((EOFError, tarfile.TarError)):
        read_members(path, ["package/a"], limit=2**20)
