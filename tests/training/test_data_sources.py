import gzip
import hashlib
import io
import os
import stat
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from lastbit.training.data import sources as module
from lastbit.training.data.catalogue import DatasetEntry, FetchError, Home, SourceError
from lastbit.training.data.download import RemoteFile, silent
from lastbit.training.data.fetching import fetch_entry
from lastbit.training.data.formats import FORMATS, IDX_FILES, Format
from lastbit.training.data.sources import DebianPackage, NpmPackage, PublicHost, read_members
from lastbit.training.data.store import digest, idx_header, read

CIFAR = FORMATS["cifar-binary"]

GENERATOR = np.random.default_rng(1)
LABELS = np.arange(6, dtype=np.uint8)
IMAGES = GENERATOR.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def web(tmp_path):
    """Return a folder and the address it is served at."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def remote(address, path):
    return RemoteFile(f"{address}/{path.name}", f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}", 2**20)


def make_entry(arrays):
    digests = {name: digest(array) for name, array in arrays.items()}
    return DatasetEntry("toy", 1, 1, (1, 1, 1), ("a",), "none", Home.CACHE, digests)


def test_a_tar_of_binary_batches_on_a_public_host(web, tmp_path):
    folder, address = web
    path = folder / "batches.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, label, image in zip(CIFAR.files, LABELS, IMAGES, strict=True):
            member = tarfile.TarInfo(f"batches/{name}")
            member.size = 3073
            archive.addfile(member, io.BytesIO(bytes([label]) + image.tobytes()))
    arrays = {
        "train_images": IMAGES[:5],
        "train_labels": LABELS[:5],
        "test_images": IMAGES[5:],
        "test_labels": LABELS[5:],
    }
    members = tuple(f"batches/{name}" for name in CIFAR.files)
    host = PublicHost("example", (remote(address, path),), CIFAR, members)
    entry = make_entry(arrays)
    assert fetch_entry(entry, [host], tmp_path / "data" / "toy.npz", silent).source == "example"
    found = read(tmp_path / "data" / "toy.npz", entry.digests)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_four_idx_files_on_a_public_host(web, tmp_path):
    folder, address = web
    arrays = {name: GENERATOR.integers(0, 256, (3, 2), dtype=np.uint8) for name in IDX_FILES}
    for name, array in arrays.items():
        (folder / IDX_FILES[name]).write_bytes(gzip.compress(idx_header(array) + array.tobytes()))
    host = PublicHost("example", tuple(remote(address, folder / name) for name in IDX_FILES.values()), FORMATS["idx"])
    found = host.read(tmp_path, silent)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_the_published_file_with_the_wrong_insides(web, tmp_path):
    folder, address = web
    (folder / "batches.tar.gz").write_bytes(b"no archive")
    host = PublicHost("example", (remote(address, folder / "batches.tar.gz"),), CIFAR, ("a",))
    with pytest.raises(SourceError, match=r"^what it sent cannot be read \(ReadError: "):
        host.read(tmp_path, silent)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Return a function that puts a shell script in the place of a command, on an otherwise empty path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    system = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(folder))

    def put(name, script):
        file = folder / name
        file.write_text(f"#!/bin/sh\nPATH={system}\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return put


def tar_bytes(members, mode):
    handle = io.BytesIO()
    with tarfile.open(fileobj=handle, mode=mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return handle.getvalue()


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


AS_THEY_COME = Format((), dict)  # the files' bytes, by name


def npm(scratch, limit=1000):
    return NpmPackage("set@1.0.0", ("src/0.json",), limit, AS_THEY_COME).read(scratch, silent)


def debian(folder, scratch, limit=10**6):
    return DebianPackage("set", folder, ("images.gz",), limit, AS_THEY_COME).read(scratch, silent)


@pytest.fixture
def tarball(tmp_path):
    path = tmp_path / "made.tgz"
    path.write_bytes(tar_bytes({"package/package.json": b"{}", "package/src/0.json": b"[0]"}, "w:gz"))
    return path


@pytest.fixture
def tree(tmp_path):
    path = tmp_path / "made.tar"
    path.write_bytes(tar_bytes({"./usr/share/set/images.gz": b"images"}, "w"))
    return path


def test_npm_packs_and_nothing_is_unpacked(commands, tarball, scratch):
    commands("npm", f'echo "$@" > ../asked; cp {tarball} set-1.0.0.tgz; ls > ../seen')
    assert npm(scratch) == {"0.json": b"[0]"}
    assert (scratch / "asked").read_text().split() == ["pack", "--silent", "--ignore-scripts", "set@1.0.0"]
    assert (scratch / "seen").read_text().split() == ["set-1.0.0.tgz"]
    assert sorted(p.name for p in scratch.iterdir()) == ["asked", "seen"]


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo reason >&2; echo 'npm error 404' >&2; exit 1", "npm pack failed: npm error 404"),
        ("exit 3", "npm pack failed: it says nothing"),
        ("true", r"0 files \*\.tgz came, not one"),
        ("head -c 1001 /dev/zero > a.tgz", "a.tgz has 1001 bytes, more than the 1000 allowed"),
    ],
)
def test_what_npm_may_do_wrong(commands, scratch, script, complaint):
    commands("npm", script)
    with pytest.raises(SourceError, match=complaint):
        npm(scratch)


def test_a_command_that_is_not_there_or_hangs(commands, scratch, monkeypatch):
    with pytest.raises(SourceError, match=r"^npm is not installed$"):
        npm(scratch)
    commands("npm", "exec sleep 5")
    monkeypatch.setattr(module, "SECONDS", 0.05)
    with pytest.raises(SourceError, match=r"^npm took longer than 0\.05 s$"):
        npm(scratch)


def test_an_installed_debian_package_is_read_in_place(commands, scratch, tmp_path):
    (tmp_path / "images.gz").write_bytes(b"installed")
    assert debian(tmp_path, scratch) == {"images.gz": b"installed"}


def test_a_debian_package_is_downloaded_without_installing(commands, scratch, tree, tmp_path, monkeypatch):
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    commands("apt-get", '[ "$1 $2" = "download set" ] && touch set_1_all.deb && echo "$2" > ../asked')
    commands("dpkg-deb", f'[ "$1" = --fsys-tarfile ] && [ -e "$2" ] && cat {tree}')
    folder = tmp_path.__class__("/usr/share/set")
    assert debian(folder, scratch) == {"images.gz": b"images"}
    assert [p.name for p in scratch.iterdir()] == ["asked"]


@pytest.mark.parametrize("user", [0, 1000])
def test_only_root_updates_the_package_lists(commands, scratch, tree, tmp_path, monkeypatch, user):
    monkeypatch.setattr(module.os, "geteuid", lambda: user)
    commands(
        "apt-get",
        'if [ "$1" = update ]; then touch ../lists; elif [ -e ../lists ]; then touch a.deb;'
        'else echo "E: no package" >&2; exit 100; fi',
    )
    commands("dpkg-deb", f"cat {tree}")
    folder = tmp_path.__class__("/usr/share/set")
    if user:
        with pytest.raises(SourceError, match="apt-get download failed: E: no package"):
            debian(folder, scratch)
        assert not (scratch / "lists").exists()
    else:
        assert debian(folder, scratch) == {"images.gz": b"images"}


def test_why_a_package_cannot_be_had_is_passed_on(commands, scratch, tmp_path):
    with pytest.raises(SourceError, match=r"^npm is not installed$"):
        npm(scratch)
    with pytest.raises(SourceError, match=r"^apt-get is not installed$"):
        debian(tmp_path, scratch)


def test_a_package_is_called_by_its_name_and_its_reading_reported(commands, scratch, tmp_path, tarball):
    commands("npm", f"cp {tarball} set-1.0.0.tgz")
    (tmp_path / "labels").write_bytes(b"\x01\x02")
    sources = (
        NpmPackage("toy@1", ("src/0.json",), 1000, AS_THEY_COME),
        DebianPackage("toy", tmp_path, ("labels",), 7, AS_THEY_COME),
    )
    reports = []
    assert [source.read(scratch, lambda *report: reports.append(report)) for source in sources] == [
        {"0.json": b"[0]"},
        {"labels": b"\x01\x02"},
    ]
    assert reports == [("npm package toy@1", 0, None), ("Debian package toy", 0, None)]
    assert list(scratch.iterdir()) == []


def test_what_a_package_sends_cannot_crash_the_fetch(commands, tmp_path, tarball):
    def broken(files):
        raise KeyError("0.json")

    commands("npm", f"cp {tarball} set-1.0.0.tgz")
    source = NpmPackage("toy@1", ("src/0.json",), 1000, Format((), broken))
    with pytest.raises(FetchError, match=r"npm package toy@1: what it sent cannot be read \(KeyError: '0.json'\)"):
        fetch_entry(make_entry({}), [source], tmp_path / "toy.npz", silent)


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
