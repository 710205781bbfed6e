"""W&B: logs that wandb itself wrote, and CSVs with the columns that its page gives them."""

import shutil
from pathlib import Path

import pytest
from tests.runs.fixtures import values

from lastbit.errors import LastbitError
from lastbit.runs import read_runs
from lastbit.runs.formats.wandb import WandbOffline
from lastbit.runs.raw import Asked

OFFLINE = Path(__file__).parent / "fixtures" / "wandb"
PAGE = """"Name","State","Notes","User","Tags","Created","Runtime","Sweep","lr","seed","val_acc","epoch"
"sgd-1","finished","-","me","","2024-05-01T10:00:00.000Z","60","","0.1","1","0.9111","9"
"sgd-2","finished","-","me","","2024-05-01T11:00:00.000Z","61","","0.1","2","0.9122","9"
"sgd-3","crashed","-","me","","2024-05-01T12:00:00.000Z","10","","0.1","3","0.5133","2"
"adam-1","finished","-","me","","2024-05-01T13:00:00.000Z","62","","0.01","1","0.9214","9"
"adam-2","finished","-","me","","2024-05-01T14:00:00.000Z","63","","0.01","2","0.9225","9"
"""
PANEL = (
    """"Step","sgd-seed1 - val/acc","sgd-seed1 - val/acc__MIN","sgd-seed1 - val/acc__MAX","a - b-seed1 - val/acc","""
    """"a - b-seed1 - val/acc__MIN","a - b-seed1 - val/acc__MAX"
"0","0.5","0.5","0.5","0.25","0.25","0.25"
"1","0.75","0.75","0.75","","",""
"2","0.625","0.625","0.625","0.875","0.875","0.875"
"""
)
API = """,summary,config,name
0,"{'acc': 0.5, '_runtime': 9, 'loss': nan}","{'lr': 0.1, 'seed': 1, 'model': {'depth': 2}}",a
1,"{'acc': 0.25, '_runtime': 9, 'loss': inf}","{'lr': 0.1, 'seed': 2, 'model': {'depth': 2}}",b
2,"{'acc': 0.75, '_runtime': 9, 'loss': -inf}","{'lr': 0.1, 'seed': 1, 'model': {'depth': 4}}",c
"""


@pytest.mark.parametrize(("step", "expected"), [("last", values.last), ("best", values.best)])
def test_offline_runs_are_read_without_wandb(step, expected):
    runs = read_runs(OFFLINE, metric="val/acc", step=step)
    assert runs.by == ("optimizer",)
    assert runs.recipes == ["sgd", "adam"]
    assert runs.settings["sgd"] == {"optimizer": "sgd", "schedule.lr": "0.1"}
    assert {settings["optimizer"] for settings in runs.settings.values()} == {"sgd", "adam"}
    for recipe, settings in runs.settings.items():
        assert runs.by_seed(recipe) == expected(settings["optimizer"])


def test_a_run_that_failed_is_left_out():
    runs = read_runs(OFFLINE, metric="val/acc")
    assert runs.left_out.select("run", "seed", "reason").rows() == [("adam-9", 9, "unfinished")]
    assert any("Left out as unfinished" in note and "adam-9" in note for note in runs.notes)


def test_records_of_several_blocks_are_whole():
    files = sorted(OFFLINE.rglob("*.wandb"), key=lambda file: file.stat().st_size)
    frame = WandbOffline().read(files[-1], Asked()).frame
    assert frame["long"][0] == "x" * 70_000


def test_a_run_that_is_cut_short_is_unfinished(tmp_path):
    source = sorted(OFFLINE.rglob("*.wandb"), key=lambda file: file.stat().st_size)[0]
    cut = tmp_path / source.name
    cut.write_bytes(source.read_bytes()[:-200])
    whole = WandbOffline().read(source, Asked()).frame
    frame = WandbOffline().read(cut, Asked()).frame
    assert whole["(state)"].to_list() == ["finished"]
    assert frame["(state)"].to_list() == ["unfinished"]
    assert frame["optimizer"].equals(whole["optimizer"])
    cut.write_bytes(b"nothing")
    with pytest.raises(LastbitError, match="does not begin as W&B's logs do"):
        WandbOffline().read(cut, Asked())


def test_links_are_not_read_twice(tmp_path):
    shutil.copytree(OFFLINE / "wandb", tmp_path / "wandb")
    first = next((tmp_path / "wandb").iterdir())
    (tmp_path / "wandb" / "latest-run").symlink_to(first.name)
    assert read_runs(tmp_path, metric="val/acc").frame.height == 6


def test_the_table_of_runs(tmp_path):
    (tmp_path / "export.csv").write_text(PAGE, encoding="utf-8")
    runs = read_runs(tmp_path / "export.csv", metric="val_acc")
    assert runs.by == ("lr",)
    assert runs.by_seed("lr=0.1") == {1: 0.9111, 2: 0.9122}
    assert runs.left_out.select("run", "row", "reason").rows() == [("sgd-3", 4, "unfinished")]


def test_the_curves_of_a_panel(tmp_path):
    (tmp_path / "panel.csv").write_text(PANEL, encoding="utf-8")
    runs = read_runs(tmp_path / "panel.csv")
    assert runs.metric == "val/acc"
    assert runs.frame.select("recipe", "seed", "value").rows() == [("sgd", 1, 0.625), ("a - b", 1, 0.875)]
    best = read_runs(tmp_path / "panel.csv", metric="val/acc", step="best")
    assert best.frame["value"].to_list() == [0.75, 0.875]


def test_the_table_that_the_manual_makes_with_the_api(tmp_path):
    (tmp_path / "project.csv").write_text(API, encoding="utf-8")
    runs = read_runs(tmp_path / "project.csv", metric="acc")
    assert runs.by == ("model.depth",)
    assert runs.by_seed("depth=2") == {1: 0.5, 2: 0.25}
    (tmp_path / "project.csv").write_text(API.replace("{'acc': 0.25", "acc: 0.25"), encoding="utf-8")
    with pytest.raises(LastbitError, match="row 3 has no dictionary"):
        read_runs(tmp_path / "project.csv", metric="acc")
