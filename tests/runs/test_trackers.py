"""MLflow, trackio, Lightning, Hugging Face and lm-evaluation-harness: files that the tools themselves wrote."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger
from tests.runs.fixtures import values
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerControl
from transformers.trainer_callback import TrainerState

from lastbit.errors import LastbitError
from lastbit.runs import read_runs

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("step", ["last", "best", 10])
@pytest.mark.parametrize("store", ["mlflow_files/mlruns", "mlflow_sqlite/mlflow.db", "trackio/optimizers.db"])
def test_stores_are_read_without_their_tools(store, step):
    runs = read_runs(FIXTURES / store, metric="acc", step=step)
    assert len(runs.by) == 1
    assert {name for settings in runs.settings.values() for name in settings} == {"optimizer", "lr"}
    assert runs.seed == ("seed",)
    expected = {"last": values.last, "best": values.best}.get(step)
    for recipe, settings in runs.settings.items():
        by_seed = {seed: values.accuracy(settings["optimizer"], seed, 10) for seed in values.SEEDS}
        assert runs.by_seed(recipe) == (expected(settings["optimizer"]) if expected else by_seed)
        assert float(settings["lr"]) == values.RECIPES[settings["optimizer"]]


@pytest.mark.parametrize("store", ["mlflow_files", "mlflow_sqlite"])
def test_failed_runs_of_mlflow_are_left_out_and_deleted_ones_are_gone(store, tmp_path):
    runs = read_runs(FIXTURES / store, metric="acc")
    assert runs.left_out.select("run", "reason").rows() == [("adam-9", "unfinished")]
    shutil.copytree(FIXTURES / store, tmp_path / "copy")
    if store == "mlflow_files":
        for meta in (tmp_path / "copy").glob("mlruns/*/*/meta.yaml"):
            meta.write_text(meta.read_text().replace("lifecycle_stage: active", "lifecycle_stage: deleted"))
    else:
        with sqlite3.connect(tmp_path / "copy" / "mlflow.db") as database:
            database.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
        database.close()
    with pytest.raises(LastbitError):
        read_runs(tmp_path / "copy", metric="acc")


def test_a_database_is_not_changed(tmp_path):
    copy = shutil.copy(FIXTURES / "trackio" / "optimizers.db", tmp_path)
    before = Path(copy).read_bytes()
    read_runs(copy, metric="acc")
    assert Path(copy).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["optimizers.db"]


def test_a_damaged_metric_of_mlflow_names_the_line(tmp_path):
    shutil.copytree(FIXTURES / "mlflow_files", tmp_path / "copy")
    file = next((tmp_path / "copy").glob("mlruns/*/*/metrics/acc"))
    file.write_text(file.read_text() + "123 oops 3\n")
    with pytest.raises(LastbitError, match="line 4 is no time, value and step"):
        read_runs(tmp_path / "copy", metric="acc")


def lightning(root, version, hyperparameters, history):
    logger = CSVLogger(root, name="logs", version=version)
    logger.log_hyperparams(hyperparameters)
    for step, metrics in history:
        logger.log_metrics(metrics, step=step)
    logger.finalize("success")


def test_lightning_logs_are_read_with_their_hyperparameters(tmp_path):
    for version, (recipe, lr, seed) in enumerate(values.runs()):
        history = [(step, {"val_acc": values.accuracy(recipe, seed, step)}) for step in values.STEPS]
        history += [(25, {"train_loss": 0.5, "epoch": 3})]
        hyperparameters = {
            "optim": {"name": recipe, "lr": lr},
            "seed": seed,
            "root": Path("data"),
            "betas": [0.9, 0.99],
        }
        lightning(tmp_path, version, hyperparameters, history)
    runs = read_runs(tmp_path, metric="val_acc")
    assert {name for settings in runs.settings.values() for name in settings} == {"optim.name", "optim.lr"}
    for recipe, settings in runs.settings.items():
        assert runs.by_seed(recipe) == values.last(settings["optim.name"])
    best = read_runs(tmp_path, metric="val_acc", step="best")
    assert {seed for recipe in best.recipes for seed in best.by_seed(recipe).values()} == {
        value for recipe in values.RECIPES for value in values.best(recipe).values()
    }


def test_objects_in_hyperparameters_are_never_made(tmp_path):
    lightning(tmp_path, 0, {"seed": 1}, [(0, {"acc": 0.5})])
    mark = tmp_path / "made"
    file = tmp_path / "logs" / "version_0" / "hparams.yaml"
    file.write_text(
        f"seed: 1\nevil: !!python/object/apply:pathlib.Path.touch\n  - !!python/object/apply:pathlib.Path [{mark}]\n"
    )
    assert read_runs(tmp_path, metric="acc").frame["seed"].to_list() == [1]
    assert not mark.exists()


def trainer(folder, history, *, stop=True, of=20):
    state = TrainerState(global_step=history[-1]["step"], max_steps=of, log_history=history, num_train_epochs=1)
    state.stateful_callbacks["TrainerControl"] = TrainerControl(should_training_stop=stop).state()
    folder.mkdir(parents=True)
    state.save_to_json(str(folder / "trainer_state.json"))


def test_trainer_states_are_read_from_the_last_checkpoint(tmp_path):
    for recipe, _, seed in values.runs():
        history = [
            {"step": step, "eval_acc": values.accuracy(recipe, seed, step), "epoch": 0.1} for step in values.STEPS
        ]
        for end in (2, 3):
            trainer(tmp_path / f"{recipe}-seed{seed}" / f"checkpoint-{values.STEPS[end - 1]}", history[:end])
    runs = read_runs(tmp_path, metric="eval_acc")
    assert runs.recipes == ["adam", "sgd"]
    for recipe in runs.recipes:
        assert runs.by_seed(recipe) == values.last(recipe)
    assert any("training_args.bin" in note for note in runs.notes)


def test_a_training_that_was_cut_short_is_left_out(tmp_path):
    history = [{"step": 10, "eval_loss": 0.5}]
    trainer(tmp_path / "a-seed1", history, stop=False)
    trainer(tmp_path / "a-seed2", history)
    trainer(tmp_path / "a-seed3", [{"step": 20, "eval_loss": float("nan")}], stop=False)
    runs = read_runs(tmp_path, metric="eval_loss")
    assert runs.frame["seed"].to_list() == [2]
    assert runs.left_out.select("seed", "reason").rows() == [(1, "unfinished"), (3, "diverged")]


def test_lm_eval_has_tasks_and_examples():
    runs = read_runs(FIXTURES / "lm_eval", metric="acc")
    assert runs.recipes == ["dummy"]
    assert runs.tasks == ["arc_toy", "boolq_toy"]
    assert not runs.lower_is_better
    stored = {}
    for file in (FIXTURES / "lm_eval").rglob("results_*.json"):
        content = json.loads(file.read_text())
        for task, results in content["results"].items():
            stored[content["config"]["random_seed"], task] = results["acc,none"]
    assert {(seed, task): value for seed, task, value in runs.frame.select("seed", "task", "value").rows()} == stored
    # The harness's own means are those of the examples.
    means = runs.examples.select("seed", "task", "value").group_by("seed", "task").mean()
    assert {(seed, task): value for seed, task, value in means.select("seed", "task", "value").rows()} == stored
    assert runs.examples.height == 3 * 2 * 8
    assert not any("table" in note for note in runs.notes)


def test_a_sample_that_is_cut_short_is_named(tmp_path):
    shutil.copytree(FIXTURES / "lm_eval", tmp_path / "copy")
    file = sorted((tmp_path / "copy").rglob("samples_*.jsonl"))[0]
    file.write_text(file.read_text()[:-30])
    with pytest.raises(LastbitError, match="line 8 is no sample"):
        read_runs(tmp_path / "copy", metric="acc")


def test_progress_ends_at_all_bytes():
    seen = []
    read_runs(FIXTURES / "mlflow_files", metric="acc", on_progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert all(done <= total for done, total in seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_every_fixture_names_the_version_that_wrote_it():
    versions = json.loads((FIXTURES / "versions.json").read_text())
    assert set(versions) == {path.name for path in FIXTURES.iterdir() if path.is_dir() and path.name[0] != "_"}


def test_of_two_logs_of_the_same_runs_one_is_read(tmp_path):
    for seed in (1, 2):
        lightning(tmp_path, seed, {"seed": seed}, [(0, {"acc": seed / 4})])
        with SummaryWriter(tmp_path / "logs" / f"version_{seed}") as writer:
            writer.add_scalar("acc", seed / 4, 0)
    (tmp_path / "summary.csv").write_text("seed,acc\n1,0.25\n2,0.5\n")
    runs = read_runs(tmp_path, metric="acc")
    assert runs.by_seed(runs.recipes[0]) == {1: 0.25, 2: 0.5}
    assert any("also holds table files, which are not read" in note for note in runs.notes)
    events = read_runs(list(tmp_path.rglob("*tfevents*")), metric="acc")
    assert sorted(events.frame["value"]) == [0.25, 0.5]


def test_a_metric_that_no_run_logged_brings_the_nearest():
    with pytest.raises(LastbitError, match=r"--metric accu: .* has no such column; the nearest is acc"):
        read_runs(FIXTURES / "trackio", metric="accu")


def test_the_metric_may_be_left_out_where_one_was_logged():
    assert read_runs(FIXTURES / "mlflow_sqlite").metric == "acc"


def test_runs_that_end_early_are_said(tmp_path):
    for seed, end in ((1, 5), (2, 5), (3, 3)):
        with SummaryWriter(tmp_path / f"a-seed{seed}") as writer:
            for step in range(end):
                writer.add_scalar("acc", seed / 4, step)
    runs = read_runs(tmp_path, metric="acc")
    assert [note for note in runs.notes if "different steps" in note] == [
        f"Runs end at different steps, from 2 to 4; these end early: {tmp_path / 'a-seed3'}."
    ]
    assert runs.frame.height == 3
    assert not any("different steps" in note for note in read_runs(tmp_path, metric="acc", step=1).notes)


def test_where_no_run_is_finished_all_count(tmp_path):
    for seed in (1, 2):
        trainer(tmp_path / f"a-seed{seed}", [{"step": 10, "eval_loss": seed / 4}], stop=False)
    runs = read_runs(tmp_path, metric="eval_loss")
    assert runs.frame.height == 2
    assert any("no run is finished, so all of them count" in note for note in runs.notes)
