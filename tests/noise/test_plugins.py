"""A noise in a user's package: on the command line, in stored studies, in pages, and never imported unasked."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest

from lastbit.noise.noise import KINDS, Noise, noise_from_json

NOISE = '''
"""Every weight moved up by one ulp, once."""

from dataclasses import dataclass
from functools import partial

import torch

from lastbit.noise.noise import nothing
from lastbit.noise.seeded import Seeded
from lastbit.optimizers.weights import disturbable


@dataclass(frozen=True)
class LateUlp(Seeded):
    """Every weight of the optimizer is moved to the next number above, after a given update."""

    after: int = 1

    kind = "late-ulp"
    off = "no late ulp"
    help = "every weight by one ulp, once"
    difference = "one unit in the last place of every weight, once"
    explanation = "<p>After some updates every weight is moved up by one unit.</p>"

    def prepare(self, groups, step):
        if self.seed is None or step != self.after:
            return nothing
        return partial(move, disturbable(groups))


def move(weights):
    for weight in weights:
        weight.copy_(torch.nextafter(weight, torch.full_like(weight, torch.inf)))
'''
STUDY = (
    "study demo --scale smoke --set data.train=128 --set data.test=50 --workers 1 --seeds 1 --noise late-ulp:after=1"
    " --noise-seeds 1 --out here"
)

OPEN = "import lastbit as lb; study = lb.open_study('here')"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder as an installed package leaves it, to be put on the path."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "lateulp.py").write_text(NOISE)
    installed = folder / "lateulp-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lateulp\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[lastbit.noises]\nlate-ulp = lateulp:LateUlp\n")
    return folder


@pytest.fixture(scope="module")
def run(warm_python):
    """The command line in a process of its own, with a folder on its path; what it writes."""

    def run(folder, cwd, *words, code=0):
        environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(cwd), "OMP_NUM_THREADS": "1"}
        done = warm_python.run([sys.executable, "-m", "lastbit", *words], cwd=cwd, env=environment)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def studied(package, run, tmp_path_factory):
    """The folder in which a study of the noise was made, and what the command said."""
    place = tmp_path_factory.mktemp("study")
    return place, run(package, place, *STUDY.split())


def test_a_study_of_it_is_made_checked_compared_and_drawn(package, run, studied, warm_python):
    place, said = studied
    assert "controls: repeat bit-identical, null bit-identical" in said
    rows = [line.split("│")[1].strip() for line in said.splitlines() if line.startswith("│")]
    assert rows[:3] == ["no late ulp", "late-ulp #1", "STD"]
    assert '"kind": "late-ulp"' in (place / "here/study.json").read_text()
    page = (place / "here/report.html").read_text()
    assert "After some updates every weight is moved up by one unit." in page
    assert "one unit in the last place of every weight, once" in page
    assert "sound" in run(package, place, "check", "here")
    assert "again.html" in run(package, place, "report", "here", "--out", "again.html")
    shutil.copytree(place / "here", place / "there")
    said = run(package, place, "compare", "here", "there", code=2)  # it has read both
    assert "here and there are the same study: every trial of one is the other's" in said
    program = f"{OPEN}; print([noise.label for noise in study.noises], study.results().source)"
    environment = {"PYTHONPATH": str(package)}
    done = warm_python.run([sys.executable, "-c", program], cwd=place, env=environment)
    assert "['no late ulp', 'late-ulp #1'] last-bit noise" in done.stdout, done.stderr


def test_without_the_package_files_are_checked_and_the_study_is_refused_in_a_line(studied, run, tmp_path, warm_python):
    place, _ = studied
    assert "sound" in run(tmp_path, place, "check", "here")
    said = run(tmp_path, place, *STUDY.split(), code=2)
    assert "'late-ulp:after=1' is no noise, did you mean ulp? There are operations, order, rounding, scale, ulp" in said
    done = warm_python.run([sys.executable, "-c", OPEN], cwd=place)
    assert "got 'late-ulp'" in done.stderr
    assert "a stored file never decides what is imported" in done.stderr


def test_its_name_is_offered_and_its_settings_are_checked(package, run, tmp_path):
    assert "did you mean ulp or late-ulp? There are late-ulp, operations, order, rounding, scale, ulp" in run(
        package, tmp_path, "study", "demo", "--noise", "ulps", code=2
    )
    for noise, complaint in (
        ("late-ulp:befor=1", "unexpected keyword argument 'befor'"),
        ("late-ulp:after", "write KIND:NAME=VALUE,NAME=VALUE"),
        ("rounding:p=2", "p is the probability of moving a weight, a number from 0 to 1; got 2"),
    ):
        said = run(package, tmp_path, "study", "demo", "--noise", noise, code=2)
        assert complaint in said
        assert said.count("\n") == 1
    assert "--p 0.1 is for --noise operations or rounding, and the noise here is late-ulp" in run(
        package, tmp_path, "study", "demo", "--noise", "late-ulp", "--p", "0.1", code=2
    )


def test_an_entry_point_that_cannot_be_loaded_is_reported_in_a_line(run, tmp_path):
    installed = tmp_path / "broken-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[lastbit.noises]\nbroken = no_such_module:Noise\n")
    said = run(tmp_path, tmp_path, "study", "demo", "--noise", "broken", code=2)
    assert "the noise 'broken' cannot be loaded from no_such_module:Noise: ModuleNotFoundError" in said
    assert said.count("\n") == 1
    assert "order" in run(tmp_path, tmp_path, "study", "--help")


def test_a_class_is_a_noise_once_it_is_defined_and_stored_text_defines_none(monkeypatch):
    monkeypatch.setattr(KINDS, "_classes", KINDS.here())
    assert KINDS.get("no-such-noise") is None
    assert KINDS.get("os:system") is None
    kind = type("Plain", (Noise,), {"kind": "plain-of-a-test", "__module__": "__main__"})
    assert noise_from_json({"kind": "plain-of-a-test"}) == kind()
    again = type("Plain", (Noise,), {"kind": "plain-of-a-test", "__module__": "__main__"})  # a cell run again
    assert KINDS.get("plain-of-a-test") is again
    with pytest.raises(ValueError, match=r"the noise 'scale' is defined twice, by lastbit\.noise\.scale:Scale and "):
        type("Other", (Noise,), {"kind": "scale"})


def test_a_file_in_the_folder_is_all_that_is_needed(tmp_path, warm_python):
    (tmp_path / "late_ulp.py").write_text(NOISE)
    program = (
        "import sys, lastbit.noise; lastbit.noise.__path__.append(sys.argv[1]);"
        "from lastbit.noise import noise_from_json; from lastbit.noise.noise import KINDS;"
        "print(noise_from_json({'kind': 'late-ulp', 'seed': 4, 'after': 2}).label, KINDS.names())"
    )
    done = warm_python.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    assert (
        done.stdout.strip()
        == "late-ulp #4 ['late-ulp', 'operations', 'order', 'rounding', 'scale', 'ulp', 'unperturbed']"
    )


def test_the_noises_are_known_without_torch():
    program = "import sys; from lastbit.noise.noise import KINDS; KINDS.names(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_threads_that_ask_at_once_all_see_the_classes_of_all_files(tmp_path, monkeypatch):
    """One of them imports the files; the others wait for it."""
    package = tmp_path / "slow_package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from lastbit.plugins import Registry\nKINDS = Registry(__name__, 'none', 'it')\n"
    )
    (package / "one.py").write_text(
        "import time\nfrom slow_package import KINDS\ntime.sleep(0.2)\nKINDS.enter('one', type('One', (), {}))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    kinds = import_module("slow_package").KINDS
    with ThreadPoolExecutor(4) as pool:
        assert [list(seen) for seen in pool.map(lambda _: kinds.here(), range(4))] == [["one"]] * 4
