"""The wheel and the sdist: the same bytes from any place, whole, and enough to run the demo."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
BUNDLED = "lastbit/training/data/bundled"


def build(builder, root, directory):
    (made,) = builder(str(root)).build(directory=str(directory))
    return Path(made)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist of this tree."""
    directory = tmp_path_factory.mktemp("dist")
    return build(WheelBuilder, ROOT, directory), build(SdistBuilder, ROOT, directory)


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built[0]) as opened:
        yield opened


@pytest.fixture(scope="module")
def sdist(built):
    with tarfile.open(built[1]) as opened:
        yield opened


def names(sdist):
    return {name.partition("/")[2] for name in sdist.getnames()}


def metadata(wheel):
    (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
    return HeaderParser().parsestr(wheel.read(name).decode())


def test_what_the_sdist_holds_builds_the_same_bytes_elsewhere_and_later(built, sdist, tmp_path):
    sdist.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    (unpacked / "PKG-INFO").unlink()  # which a build adds
    for path in unpacked.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)  # as another umask leaves it
        os.utime(path, (2e9, 2e9))
    for builder, made in zip((WheelBuilder, SdistBuilder), built, strict=True):
        assert build(builder, unpacked, tmp_path / "again").read_bytes() == made.read_bytes()


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    package = {
        path.relative_to(ROOT / "src").as_posix(): path.read_bytes()
        for path in (ROOT / "src" / "lastbit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert sorted(held) == sorted(package)
    assert [name for name in held if wheel.read(name) != package[name]] == []
    assert {"lastbit/py.typed", "lastbit/report/templates/page.css", f"{BUNDLED}/mnist01.npz"} <= set(held)


@pytest.mark.parametrize(("data", "licence"), [("fashion-mini", "fashion-mnist"), ("mnist01", "mnist01")])
def test_bundled_data_lie_beside_their_licence_which_is_listed(wheel, data, licence):
    assert {f"{BUNDLED}/{data}.npz", f"{BUNDLED}/LICENSE-{licence}"} <= set(wheel.namelist())
    text = wheel.read(f"{BUNDLED}/LICENSE-{licence}").decode()
    assert "The MIT License" in text
    assert "Copyright" in text
    listed = f"src/{BUNDLED}/LICENSE-{licence}"
    assert listed in metadata(wheel).get_all("License-File")
    assert any(name.endswith(f".dist-info/licenses/{listed}") for name in wheel.namelist())


def test_every_bundled_file_has_a_licence_above():
    bundled = {path.name for path in (ROOT / "src" / BUNDLED).iterdir()}
    assert bundled == {"fashion-mini.npz", "mnist01.npz", "LICENSE-fashion-mnist", "LICENSE-mnist01"}


def test_the_package_is_apache_2(wheel):
    (licence,) = (name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
    assert wheel.read(licence).decode().split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert metadata(wheel)["License-Expression"] == "Apache-2.0"


@pytest.mark.parametrize(
    ("extra", "library"),
    [
        ("cluster", "distributed"),
        ("lightning", "lightning"),
        ("transformers", "transformers"),
        ("explore", "marimo"),
        ("tensorboard", "tensorboard"),
        ("wandb", "wandb"),
    ],
)
def test_an_extra_brings_its_library_and_the_package_alone_does_not(wheel, extra, library):
    found = metadata(wheel)
    assert extra in found.get_all("Provides-Extra")
    asked = [line for line in found.get_all("Requires-Dist") if re.match(rf"{library}\b", line)]
    assert asked
    assert all("extra ==" in line for line in asked)
    assert any(f"extra == '{extra}'" in line for line in asked)


def test_the_sdist_holds_what_a_contributor_needs(sdist):
    needed = {"LICENSE", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "Makefile", "constraints.txt"}
    notebooks = {"examples/paper_in_ten_minutes.py", "examples/layer_bounds.py", "examples/compare_two_recipes.py"}
    parts = {
        "docs/index.md",
        "zensical.toml",
        "tests/conftest.py",
        "benchmarks/import_time.py",
        f"src/{BUNDLED}/mnist01.npz",
    }
    assert needed | notebooks | parts <= names(sdist)


def test_the_sdist_holds_nothing_that_was_built(sdist):
    built = re.compile(
        r"(^|/)(__pycache__|build|dist|\.venv|\.git|\.\w+_cache)/|^(runs|demo)/|\.pyc$|^results/[^/]+/work/"
    )
    assert [name for name in names(sdist) if built.search(name)] == []


def test_the_wheel_alone_makes_a_study_of_bundled_data_and_draws_it_in_an_empty_home(built, tmp_path):
    """Its dependencies are those of this environment; `--target` keeps its own installation out of the way."""
    place, home = tmp_path / "installed", tmp_path / "home"
    home.mkdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", place, built[0]], check=True)
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}

    def run(*command):
        done = subprocess.run(command, cwd=home, env=surroundings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        # Without a terminal, progress is lines of its own.
        assert [
            line
            for line in done.stderr.splitlines()
            if not re.match(r"demo: .*(elapsed|runs to make|starting 1 worker)", line)
        ] == []
        return done.stdout

    where = run(sys.executable, "-c", "import lastbit; print(lastbit.__file__)")
    assert Path(where.strip()) == place / "lastbit" / "__init__.py"
    few = ["--scale", "smoke", "--set", "data.train=128", "--set", "data.test=50", "--seeds", "1", "--k", "1,3"]
    said = run(
        place / "bin" / "lastbit", "study", "demo", *few, "--workers", "1", "--json", "demo.json", "--out", "demo"
    )
    assert "controls: repeat bit-identical, power of two bit-identical" in said
    assert "report.html" in said
    trials = json.loads((home / "demo.json").read_text())["trials"]
    assert len(trials) == 2
    assert "</html>" in (home / "demo" / "report.html").read_text()
