import io
import os
import stat
import tarfile

import pytest

from lastbit.training.data import packages
from lastbit.training.data.errors import SourceError


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
    commands("npm", f'echo "$@" > asked; cp {tarball} set-1.0.0.tgz')
    assert packages.npm_files("set@1.0.0", ["src/0.json"], scratch, limit=1000) == {"0.json": b"[0]"}
    assert (scratch / "asked").read_text().split() == ["pack", "--silent", "--ignore-scripts", "set@1.0.0"]
    assert sorted(p.name for p in scratch.iterdir()) == ["asked", "set-1.0.0.tgz"]


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
        packages.npm_files("set@1.0.0", ["src/0.json"], scratch, limit=1000)


def test_a_command_that_is_not_there_or_hangs(commands, scratch, monkeypatch):
    with pytest.raises(SourceError, match=r"^npm is not installed$"):
        packages.npm_files("set@1.0.0", ["src/0.json"], scratch, limit=1000)
    commands("npm", "exec sleep 5")
    monkeypatch.setattr(packages, "SECONDS", 0.05)
    with pytest.raises(SourceError, match=r"^npm took longer than 0\.05 s$"):
        packages.npm_files("set@1.0.0", ["src/0.json"], scratch, limit=1000)


def test_an_installed_debian_package_is_read_in_place(commands, scratch, tmp_path):
    (tmp_path / "images.gz").write_bytes(b"installed")
    assert packages.debian_files("set", tmp_path, ["images.gz"], scratch, limit=1000) == {"images.gz": b"installed"}


def test_a_debian_package_is_downloaded_without_installing(commands, scratch, tree, tmp_path, monkeypatch):
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    commands("apt-get", '[ "$1 $2" = "download set" ] && touch set_1_all.deb')
    commands("dpkg-deb", f'[ "$1" = --fsys-tarfile ] && [ -e "$2" ] && cat {tree}')
    folder = tmp_path.__class__("/usr/share/set")
    assert packages.debian_files("set", folder, ["images.gz"], scratch, limit=10**6) == {"images.gz": b"images"}
    assert sorted(p.name for p in scratch.iterdir()) == ["set_1_all.deb", "tree.tar"]


@pytest.mark.parametrize("user", [0, 1000])
def test_only_root_updates_the_package_lists(commands, scratch, tree, tmp_path, monkeypatch, user):
    monkeypatch.setattr(packages.os, "geteuid", lambda: user)
    commands(
        "apt-get",
        'if [ "$1" = update ]; then touch lists; elif [ -e lists ]; then touch a.deb;'
        'else echo "E: no package" >&2; exit 100; fi',
    )
    commands("dpkg-deb", f"cat {tree}")
    folder = tmp_path.__class__("/usr/share/set")
    if user:
        with pytest.raises(SourceError, match="apt-get download failed: E: no package"):
            packages.debian_files("set", folder, ["images.gz"], scratch, limit=10**6)
        assert not (scratch / "lists").exists()
    else:
        assert packages.debian_files("set", folder, ["images.gz"], scratch, limit=10**6) == {"images.gz": b"images"}
