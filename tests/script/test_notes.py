"""Which files a run had from others: of the study, of the time before, or of a run beside it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from lastbit.script.notes import Notes, left_over, name_files

HERE = Path("/work")


def noted(began, ended, *, read=(), wrote=(), back=(), steps=9):
    return Notes(
        steps=steps,
        began=began,
        ended=ended,
        read={f"/work/{name}": changed for name, changed in dict(read).items()},
        wrote={f"/work/{name}": ended for name in wrote},
        read_back=[f"/work/{name}" for name in back],
    )


FIRST = {"seed 1, k=1": noted(100, 200, wrote=["last.pt"])}


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        (noted(300, 400, read={"last.pt": 190}), "last.pt, written by the run of seed 1, k=1"),
        (noted(300, 400, read={"by-hand.json": 190}), "by-hand.json, written by the run of seed 1, k=1"),
        (noted(300, 400, read={"data.pt": 50}), ""),
        (noted(300, 400, read={"data.pt": 50}, wrote=["other.pt"]), ""),
        (noted(300, 400, read={"data.pt": 50}, wrote=["data.pt"]), "data.pt, which was there before the study"),
        (noted(300, 400, read={"last.pt": 50, "data.csv": 50}, steps=0), "last.pt, which was there before the study"),
        (noted(300, 400, read={"__0_0.distcp": 50}, steps=0), "__0_0.distcp, which was there before the study"),
        (noted(300, 400, read={"own.bin": 350}), ""),
        (noted(150, 250, read={"last.pt": 160}), "last.pt, written by the run of seed 1, k=1"),
        (noted(150, 250, wrote=["last.pt"], back=["last.pt"]), "last.pt, written by the run of seed 1, k=1"),
        (noted(300, 400, wrote=["last.pt"], back=["last.pt"]), ""),
        (noted(150, 250, wrote=["mine.pt"], back=["mine.pt"]), ""),
    ],
)
def test_what_a_run_had_from_others_is_named(notes, said):
    assert name_files(left_over(notes, FIRST), HERE) == said


def test_of_many_files_three_are_named():
    notes = noted(300, 400, read={f"{name}.pt": 190 for name in "abcde"})
    said = name_files(left_over(notes, FIRST), HERE)
    assert said.startswith("a.pt, written by the run of seed 1, k=1; b.pt, ")
    assert said.endswith("c.pt, written by the run of seed 1, k=1 and 2 more")


PROGRAM = """
import json, os, sys
from pathlib import Path
from lastbit.script.files_used import FilesUsed
files = FilesUsed()
files.watch(Path("trial").absolute())
open("data.bin", "rb").read(); Path("data.bin").read_bytes(); open(b"bytes.txt").close()
os.close(os.open(Path("low.txt"), os.O_RDONLY))
open("new.txt", "w").close(); open("new.txt").close()
open("grown.csv", "a").close(); open("both.bin", "r+b").close()
open("trial/own.txt", "w").close(); open("code.py").close(); open(os.devnull, "w").close()
for wrong in ("none.txt", "nul\\0.txt", "."):
    try:
        open(wrong).close()
    except (OSError, ValueError):
        pass
if os.fork() == 0:
    open("child.txt", "w").close(); os._exit(0)
os.wait()
files.close()
print(json.dumps({name: sorted(os.path.relpath(path) for path in getattr(files, name))
                  for name in ("read", "read_back", "wrote")}))
"""


def test_files_that_a_process_opens_are_noted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("trial").mkdir()
    for name in ("data.bin", "bytes.txt", "low.txt", "grown.csv", "both.bin", "code.py"):
        Path(name).touch()
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stdout.strip() == (
        '{"read": ["both.bin", "bytes.txt", "data.bin", "low.txt"], "read_back": ["new.txt"],'
        ' "wrote": ["both.bin", "grown.csv", "new.txt"]}'
    )


SAFETENSORS = """
import json, os
from pathlib import Path
from lastbit.script.files_used import FilesUsed
files = FilesUsed()
files.watch(Path("trial").absolute())
import numpy, safetensors
from safetensors.numpy import load_file, save_file
assert load_file("last.safetensors")["w"] == 2
with safetensors.safe_open(Path("other.safetensors"), framework="numpy") as file:
    assert file.get_tensor("w") == 3
assert isinstance(safetensors.safe_open(filename="other.safetensors", framework="numpy"), safetensors.safe_open)
for name in ("new.safetensors", "trial/own.safetensors"):
    save_file({"w": numpy.ones(1)}, name)
with safetensors.safe_open("new.safetensors", framework="numpy"): pass
files.close()
print(json.dumps({name: sorted(os.path.relpath(path) for path in getattr(files, name))
                  for name in ("read", "read_back", "wrote")}))
"""


def test_files_that_safetensors_opens_are_noted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("trial").mkdir()
    for name, value in (("last", 2.0), ("other", 3.0)):
        save_file({"w": numpy.array([value])}, f"{name}.safetensors")
    ran = subprocess.run(
        [sys.executable, "-c", SAFETENSORS],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert json.loads(ran.stdout) == {
        "read": ["last.safetensors", "other.safetensors"],
        "read_back": ["new.safetensors"],
        "wrote": ["new.safetensors"],
    }
