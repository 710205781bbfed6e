import shutil
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lastbit.cli import doctor_checks as surroundings
from lastbit.cli.doctor_checks import (
    check_cuda,
    check_data_sets,
    check_disk,
    check_extras,
    check_memory,
    check_remote,
)
from lastbit.execution.repeatability import Condition
from lastbit.machine import how_to_install


def test_bundled_data_are_sound_and_others_named_with_the_command(tmp_path):
    check = check_data_sets(tmp_path)
    assert check.outcome is Condition.OK
    assert check.said.startswith("Here and sound: fashion-mini, mnist01, digits. Not fetched: fashion-mnist, ")
    assert "`lastbit data fetch NAME`" in check.said


def test_damaged_data_fail(tmp_path):
    (tmp_path / "cifar10.npz").write_bytes(b"not an archive")
    check = check_data_sets(tmp_path)
    assert check.outcome is Condition.FAILS
    assert f"cifar10 ({tmp_path / 'cifar10.npz'})" in check.said


@pytest.mark.parametrize(("mib", "outcome"), [(2048, "OK"), (2047, "note"), (None, "cannot be checked here")])
def test_little_memory_is_a_note(monkeypatch, mib, outcome):
    monkeypatch.setattr(surroundings, "available_memory_mib", lambda: mib)
    assert check_memory().outcome == outcome


@pytest.mark.parametrize(("mib", "outcome"), [(2048, "OK"), (100, "note")])
def test_little_disk_is_a_note(monkeypatch, tmp_path, mib, outcome):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=mib * 2**20))
    assert check_disk(tmp_path).outcome == outcome


def test_without_cuda_it_is_reported_and_with_it_it_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert (check_cuda().outcome, "built for the CPU alone" in check_cuda().said) == (Condition.UNCHECKED, True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "built for 13.0 and finds none" in check_cuda().said
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"GPU {number}")
    assert check_cuda().said.startswith("GPU 0, GPU 1; CUDA 13.0")


def test_extras_and_kinds_of_urls_are_those_installed(monkeypatch):
    there = {"distributed": "1.0", "fsspec": "2.0", "aiohttp": "3.0"}
    monkeypatch.setattr(surroundings, "installed_version", there.get)
    assert check_extras().said == (
        "Here: cluster (1.0). Not here: docs, explore, lightning, tensorboard, test, transformers, wandb; "
        f"{how_to_install('docs')} brings one."
    )
    assert check_remote().said == (
        "Studies can be read from file://, https://. Packages that others need: s3:// (s3fs), gs:// (gcsfs), "
        "abfs:// (adlfs)."
    )
    monkeypatch.setattr(surroundings, "installed_version", lambda package: None)
    assert check_extras().said.startswith("Here: none.")
    assert check_remote().outcome is Condition.NOTE


def test_every_extra_of_the_project_is_listed(monkeypatch):
    """A new one by being there."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    monkeypatch.setattr(surroundings, "installed_version", lambda package: "1.0")
    listed = check_extras().said.removeprefix("Here: ").removesuffix(".").split(", ")
    assert sorted(each.split(" ")[0] for each in listed) == sorted(project["optional-dependencies"])
    here = {"marimo": "1.0", "starlette": "1.0"}
    monkeypatch.setattr(surroundings, "installed_version", here.get)
    assert "explore" in check_extras().said.partition("Not here: ")[2], "one of its packages is missing"
    monkeypatch.setattr(surroundings, "requires", lambda name: ["brandnew[all]>=1; extra == 'shiny'", "torch>=2.7"])
    assert check_extras().said == f"Here: none. Not here: shiny; {how_to_install('shiny')} brings one."
