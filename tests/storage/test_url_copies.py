import os
import sys
import time

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from lastbit.storage import url_copies as module
from lastbit.storage.url_copies import is_url, local_copy

FILES = {"study.json": b"{}", "trials/a/done.json": b"1" * 70_000, "trials/a/weights/1.bin": b"\x00\xff"}


@pytest.fixture
def memory():
    """An empty file system at memory://."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield fsspec.filesystem("memory")
    MemoryFileSystem.store.clear()


def put(system, root, files):
    for name, content in files.items():
        system.pipe_file(f"{root}/{name}", content)


def content(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("place", ["runs/demo", "/abs/x", "C:\\runs", "a:b", "..", "x//y"])
def test_local_paths_pass_through_untouched(place):
    assert not is_url(place)
    with local_copy(place) as directory:
        assert str(directory) == place.replace("//", "/")


def test_a_copy_holds_every_byte_and_the_studys_name_and_goes_away(memory):
    put(memory, "/bucket/my study", FILES)
    counted = []
    with local_copy("memory://bucket/my study/", on_file=lambda *both: counted.append(both)) as directory:
        assert content(directory) == FILES
        assert directory.name == "my study"
    assert not directory.exists()
    assert counted == [(1, 3), (2, 3), (3, 3)]


def test_files_of_this_machine_can_be_named_by_url_too(tmp_path):
    for name, bytes_ in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes_)
    with local_copy(tmp_path.as_uri()) as directory:
        assert directory != tmp_path
        assert content(directory) == FILES


def test_only_what_is_wanted_comes_and_hidden_files_stay(memory):
    put(memory, "/s", FILES | {".lock": b"", "trials/.hidden/x.json": b""})
    with local_copy("memory://s", wanted=("*.json",)) as directory:
        assert set(content(directory)) == {"study.json", "trials/a/done.json"}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "a/..", "b\\..\\evil", "C:evil", "a\x1b[2Jb", "new\nline"])
def test_names_that_may_lead_out_are_refused(monkeypatch, memory, tmp_path, name):
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *a, **k: {f"/s/{name}": {"size": 1, "type": "file"}})
    with pytest.raises(ValueError, match="refused") as refused, local_copy("memory://s"):
        pass
    assert "\x1b" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_name_that_is_not_below_the_directory_is_refused(monkeypatch, memory):
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *a, **k: {"/other/x": {"size": 1, "type": "file"}})
    with pytest.raises(ValueError, match="'/other/x' is not below '/s'"), local_copy("memory://s"):
        pass


@pytest.mark.parametrize("to_directory", [True, False])
def test_links_are_not_followed(tmp_path, to_directory):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("private")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "link").symlink_to(secret if to_directory else secret / "key")
    with pytest.raises(ValueError, match="link is a link or no ordinary file"), local_copy(f"file://{tmp_path}/study"):
        pass


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no ordinary file"), local_copy(f"file://{tmp_path}"):
        pass


def test_links_of_other_file_systems_are_not_followed(monkeypatch, memory):
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *a, **k: {"/s/x": {"size": 1, "type": "link"}})
    with pytest.raises(ValueError, match="is a link"), local_copy("memory://s"):
        pass


def test_too_many_files_are_refused(monkeypatch, memory):
    put(memory, "/s", FILES)
    monkeypatch.setattr(module, "MOST_FILES", 2)
    with pytest.raises(ValueError, match="more than 2 files"), local_copy("memory://s"):
        pass


@pytest.mark.parametrize("told", [True, False])
def test_too_large_files_are_refused_whatever_the_listing_told(monkeypatch, memory, told):
    put(memory, "/s", FILES)
    find = MemoryFileSystem.find
    if not told:
        listed = {path: about | {"size": None} for path, about in find(memory, "/s", detail=True).items()}
        monkeypatch.setattr(MemoryFileSystem, "find", lambda *a, **k: listed)
    with local_copy("memory://s"):
        pass
    monkeypatch.setattr(module, "MOST_BYTES", 70_003)
    with pytest.raises(ValueError, match=r"at most|too large"), local_copy("memory://s"):
        pass
    monkeypatch.setattr(module, "MOST_BYTES", 70_004)
    monkeypatch.setattr(module, "MOST_BYTES_OF_A_FILE", 69_999)
    with pytest.raises(ValueError, match=r"trials/a/done\.json is too large"), local_copy("memory://s"):
        pass


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("memory://nowhere", "there is nothing at memory://nowhere"),
        ("file:///no/such/place", "there is nothing at file:///no/such/place"),
        ("nosuch://x", "nosuch://x: Protocol not known: nosuch"),
    ],
)
def test_what_is_not_there_is_reported_in_one_line(memory, place, said):
    with pytest.raises(ValueError, match=f"^{said}$"), local_copy(place):
        pass


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    said = r"s3://b/x: a package for this kind of URL is missing \(Install s3fs"
    with pytest.raises(ValueError, match=said), local_copy("s3://b/x"):
        pass


def test_what_does_not_answer_is_given_up(monkeypatch, memory):
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *a, **k: time.sleep(0.3))
    with pytest.raises(ValueError, match=r"memory://s did not answer within 0\.05 s"), local_copy("memory://s"):
        pass


def test_an_exception_of_any_kind_is_one_line(monkeypatch, memory):
    def breaks(*arguments, **options):
        raise KeyError("a kind of error\nthat only this has")

    monkeypatch.setattr(MemoryFileSystem, "find", breaks)
    with pytest.raises(ValueError, match="memory://s") as wrong, local_copy("memory://s"):
        pass
    assert "\n" not in str(wrong.value)
