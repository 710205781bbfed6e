"""What Tab completes: asked as bash asks, and in bash itself."""

import os
import subprocess

import pytest

from lastbit.cli.options import data_sets, recipes
from lastbit.training.catalogue import load_recipe, recipe_names, scale_names
from lastbit.training.data import inventory


@pytest.fixture
def tab(lastbit, monkeypatch):
    """What a shell is offered for a line, whose last word is begun."""

    def complete(line):
        monkeypatch.setenv("_LASTBIT_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        code, out, err = lastbit()
        assert (code, err) == (0, "")
        return out.split()

    return complete


@pytest.mark.parametrize("command", ["study", "growth", "sharpness", "recipe show"])
def test_recipes_and_files_of_recipes(tab, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "theirs.toml").touch()
    assert set(tab(f"lastbit {command} ")) == {*recipe_names(), "mine.toml", "more/"}
    assert tab(f"lastbit {command} demo-s") == ["demo-swish"]
    assert tab(f"lastbit {command} mi") == ["mine.toml"]
    assert tab(f"lastbit {command} more/") == ["more/theirs.toml"]
    assert tab(f"lastbit {command} {tmp_path}/mo") == [f"{tmp_path}/more/"]
    assert tab(f"lastbit {command} nowhere/") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lastbit study resnet56-cifar10 --scale ", ["paper", *scale_names("resnet56-cifar10")]),
        ("lastbit study demo --scale s", ["smoke"]),
        ("lastbit recipe show demo --scale ", ["paper", "smoke"]),
        ("lastbit study no-such-recipe --scale ", ["paper", "laptop", "smoke"]),
        ("lastbit study --seeds 1-2 demo --scale ", ["paper", "smoke"]),
        ("lastbit demo --scale ", ["paper", "smoke"]),
        ("lastbit paper run fig1 --scale l", ["laptop"]),
        ("lastbit paper run theorem5.", [f"theorem5.{number}" for number in range(1, 8)]),
        ("lastbit paper run figure1 al", ["all"]),
        ("lastbit study demo --noise ", ["operations", "order", "rounding", "scale", "ulp"]),
        ("lastbit run --noise r", ["rounding"]),
        ("lastbit study demo --device c", ["cpu"]),
        ("lastbit data fetch fashion-mi", ["fashion-mini"]),
        ("lastbit study demo --set optimizer.n", ["optimizer.name=", "optimizer.nesterov="]),
        ("lastbit study demo --set model.activation=", [f"model.activation={w}" for w in ("relu", "swish", "tanh")]),
        ("lastbit growth demo --set optimizer.nesterov=", ["optimizer.nesterov=true", "optimizer.nesterov=false"]),
        ("lastbit study demo --set data.name=mnist0", ["data.name=mnist01"]),
        ("lastbit study demo --set batch_size=", [f"batch_size={load_recipe('demo').batch_size}"]),
        ("lastbit study demo --set optimizer.name=ad", ["optimizer.name=adam", "optimizer.name=adamw"]),
    ],
)
def test_values(tab, line, expected):
    found = tab(line)
    assert [each for each in found if not each.startswith("cuda")] == expected


def test_every_data_set_is_offered():
    assert set(data_sets("")) == {item.name for item in inventory(root=None)}


def test_a_closed_folder_offers_no_files(tmp_path):
    (tmp_path / "file.toml").touch()
    assert recipes(f"{tmp_path}/file.toml/") == []


def test_bash_itself_offers_them(tab, lastbit, monkeypatch, tmp_path):
    """By the script that `--install-completion` installs; what it asks of the program is answered as above."""
    monkeypatch.setenv("_LASTBIT_COMPLETE", "source_bash")
    script = lastbit()[1]
    answer = "\n".join(tab("lastbit study demo"))
    program = tmp_path / "lastbit"
    program.write_text(
        f"#!/bin/sh\nprintf '%s' \"$COMP_WORDS|$COMP_CWORD\" > {tmp_path}/asked\nprintf '%s' '{answer}'\n"
    )
    program.chmod(0o755)
    line = 'COMP_WORDS=(lastbit study demo); COMP_CWORD=2; _lastbit_completion lastbit; echo "${COMPREPLY[@]}"'
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{line}"], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout.split(), done.stderr) == (["demo", "demo-swish"], "")
    assert (tmp_path / "asked").read_text().split() == ["lastbit", "study", "demo|2"]
