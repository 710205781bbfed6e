"""Where a person wants a file: what is no regular file is written through, links stay, permissions are kept."""

import errno
import os
import stat
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from lastbit.cli.audit import _check_out
from lastbit.cli.output import checked_output
from lastbit.errors import LastbitError
from lastbit.script.trace.recording import check_free_path
from lastbit.storage.directories import check_unkept
from lastbit.storage.outputs import check_output, write_output

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextmanager
def as_somebody():
    """Have no more rights than an ordinary user while the block runs."""
    before = os.getresuid()
    if before[1] == 0:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(*before)


def kind(path):
    """Device, inode and kind of what is at a path, links not followed."""
    found = path.lstat()
    return found.st_dev, found.st_ino, stat.S_IFMT(found.st_mode)


def refused(path, error):
    """That neither checking nor writing does anything but raise."""
    for act in (check_output, lambda place: write_output(place, b"new")):
        with pytest.raises(error):
            act(path)


def test_a_regular_file_is_replaced_in_one_step_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "out.json"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with path.open("rb") as before:
        write_output(path, b"new")
        assert before.read() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]


def test_a_private_file_is_never_readable_by_others(tmp_path, monkeypatch):
    path, modes = tmp_path / "secret.json", []
    path.touch(0o600)
    sync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda number: (modes.append(stat.S_IMODE(os.fstat(number).st_mode)), sync(number))
    )
    write_output(path, b"new")
    assert modes[0] == stat.S_IMODE(path.stat().st_mode) == 0o600


@root_only
def test_a_file_keeps_its_owner(tmp_path):
    path = tmp_path / "theirs.json"
    path.touch()
    os.chown(path, 1234, 4321)
    path.chmod(0o600)
    write_output(path, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 4321, 0o600)


def test_a_new_file_gets_ordinary_permissions_and_its_directory(tmp_path):
    (tmp_path / "plain").touch()
    check_output(tmp_path / "new" / "deep" / "out.json")
    assert not (tmp_path / "new").exists()
    write_output(tmp_path / "new" / "deep" / "out.json", b"new")
    modes = {path.stat().st_mode for path in (tmp_path / "plain", tmp_path / "new" / "deep" / "out.json")}
    assert len(modes) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_a_file_system_without_new_files_is_refused_before_anything_is_computed():
    """Permissions alone do not say so: root may write everywhere."""
    for path in (Path("/proc/out.json"), Path("/proc/new/out.json")):
        with pytest.raises(OSError, match=r"No such file|Permission denied"):
            check_output(path)
    for check in (check_free_path, checked_output("--json"), _check_out):
        with pytest.raises(LastbitError, match=r"/proc/out: cannot write there|/proc/out cannot be written"):
            check(Path("/proc/out"))


def test_links_to_links_stay_and_their_target_is_replaced(tmp_path):
    target = tmp_path / "far" / "target.json"
    target.parent.mkdir()
    target.write_bytes(b"old")
    target.chmod(0o600)
    (tmp_path / "near").symlink_to("far/target.json")
    (tmp_path / "out.json").symlink_to(tmp_path / "near")
    before = target.stat().st_ino
    write_output(tmp_path / "out.json", b"new")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.stat().st_ino != before, "replaced, not overwritten"
    assert (tmp_path / "out.json").readlink() == tmp_path / "near"
    assert str((tmp_path / "near").readlink()) == "far/target.json"
    assert [each.name for each in target.parent.iterdir()] == ["target.json"]


def test_a_dangling_link_makes_its_target(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "out.json").symlink_to("far/target.json")
    write_output(tmp_path / "out.json", b"new")
    assert (tmp_path / "out.json").is_symlink()
    assert (tmp_path / "far" / "target.json").read_bytes() == b"new"


def test_a_link_to_a_missing_directory_is_refused(tmp_path):
    (tmp_path / "out.json").symlink_to("gone/target.json")
    refused(tmp_path / "out.json", FileNotFoundError)
    assert not (tmp_path / "gone").exists()


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    refused(tmp_path / "a", OSError)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]


def test_a_directory_and_a_link_to_one_are_refused(tmp_path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("directory")
    for path in (tmp_path / "directory", tmp_path / "link", Path("/")):
        refused(path, IsADirectoryError)
    assert list((tmp_path / "directory").iterdir()) == []


def test_a_file_where_a_directory_should_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "out.json", NotADirectoryError)
    refused(tmp_path / "file" / "below" / "out.json", NotADirectoryError)


def test_a_file_that_may_not_be_written_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        path = Path(folder, "out.json")
        path.write_bytes(b"old")
        path.chmod(0o444)
        with as_somebody():
            refused(path, PermissionError)
        path.chmod(0o666)
        Path(folder).chmod(0o555)
        with as_somebody():
            refused(Path(folder, "other.json"), PermissionError)
            refused(Path(folder, "new", "other.json"), PermissionError)
            check_output(path)
            write_output(path, b"new")  # in place, since nothing can be made beside it
        assert path.read_bytes() == b"new"
        Path(folder).chmod(0o755)


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EPERM])
def test_a_file_that_cannot_be_replaced_is_written_in_place(tmp_path, monkeypatch, number):
    """As a file that is mounted by itself, and another's in a sticky directory: the system refuses the rename."""
    path = tmp_path / "out.json"
    path.write_bytes(b"old and longer")

    def mounted(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", mounted)
    inode = path.stat().st_ino
    write_output(path, b"new")
    assert (path.read_bytes(), path.stat().st_ino) == (b"new", inode)
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]


def test_a_fifo_is_written_through(tmp_path):
    path, said = tmp_path / "fifo", []
    os.mkfifo(path)
    (tmp_path / "link").symlink_to("fifo")
    before = kind(path)
    for name in ("fifo", "link"):
        reader = threading.Thread(target=lambda: said.append(path.read_bytes()))
        reader.start()
        write_output(tmp_path / name, b"through" * 100_000)
        reader.join()
    assert said == [b"through" * 100_000] * 2
    assert kind(path) == before
    assert (tmp_path / "link").is_symlink()


@root_only
def test_a_device_is_written_through(tmp_path):
    path = tmp_path / "null"
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        path.open("wb").close()
    except PermissionError:
        pytest.skip("this container makes no devices")
    (tmp_path / "link").symlink_to("null")
    before = kind(path)
    write_output(path, b"gone")
    write_output(tmp_path / "link", b"gone")
    assert kind(path) == before
    assert (tmp_path / "link").is_symlink()


def test_a_full_device_is_reported():
    before = kind(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        write_output(Path("/dev/full"), b"much")
    assert kind(Path("/dev/full")) == before


def test_a_descriptor_goes_on_where_it_stands_even_in_a_regular_file(tmp_path):
    """As `--json /dev/stdout` does behind `> shown.txt`: nothing is cut off, and what follows comes after."""
    (tmp_path / "link").symlink_to("/dev/fd")
    with (tmp_path / "shown.txt").open("wb", buffering=0) as shown:
        shown.write(b"first ")
        for place in (Path("/dev/fd"), Path("/proc/self/fd"), tmp_path / "link"):
            write_output(place / str(shown.fileno()), b"second ")
        shown.write(b"last")
    assert (tmp_path / "shown.txt").read_bytes() == b"first second second second last"
    with pytest.raises(OSError, match="Bad file descriptor"):
        write_output(Path("/dev/fd/98765"), b"new")


def test_a_pipe_as_of_a_process_substitution_is_written_through():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        write_output(Path(f"/dev/fd/{writing}"), b"through")
        assert os.read(reading, 100) == b"through"
    finally:
        os.close(reading)
        os.close(writing)


def test_a_file_that_a_command_keeps_is_no_place_for_an_output(tmp_path):
    study = tmp_path / "study"
    (study / "trials" / "a").mkdir(parents=True)
    (study / "study.json").write_text("{}")
    (tmp_path / "growth.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(study / "study.json")
    kept = [study / "study.json", study / "results.json", study / "trials" / "a" / "trial.json"]
    for path in (*kept, tmp_path / "growth.json", tmp_path / "link.json"):
        with pytest.raises(LastbitError, match=r"is a file of (a study|results of growth), which lastbit reads again"):
            check_unkept(path)
    for path in (study / "mine.json", study / "report.html", tmp_path / "compare.json", tmp_path / "results.json"):
        check_unkept(path)
