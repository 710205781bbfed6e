"""Files that were altered or cut short: each is read, or refused in one line; none is a traceback."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from torch.utils.tensorboard import SummaryWriter

from lastbit.errors import LastbitError
from lastbit.runs import read_runs

FIXTURES = Path(__file__).parent / "fixtures"
METRICS = {"wandb": "val/acc"}
TIMES = 20


def events(folder):
    for seed in (1, 2):
        with SummaryWriter(folder / f"seed{seed}") as writer:
            for step in range(5):
                writer.add_scalar("acc", seed + step / 8, step)
            writer.add_hparams({"lr": 0.1, "seed": seed}, {"end": 1.0})


def tables(folder):
    frame = pl.DataFrame({"recipe": ["a", "a", "b", "b"], "seed": [1, 2, 1, 2], "acc": [0.5, 0.25, 0.75, 0.125]})
    frame.write_csv(folder / "runs.csv")
    frame.write_ndjson(folder / "runs.jsonl")
    frame.write_parquet(folder / "runs.parquet")


def logs(folder):
    (folder / "metrics.csv").write_text("epoch,step,acc\n0,1,0.5\n1,2,\n1,3,0.25\n")
    (folder / "hparams.yaml").write_text("lr: 0.1\noptim:\n  betas: [0.9, 0.99]\nseed: 1\n")
    state = '{"global_step": 3, "max_steps": 3, "log_history": [{"step": 1, "acc": 0.5}, {"step": 3, "acc": 0.25}]}'
    (folder / "out-seed1").mkdir()
    (folder / "out-seed1" / "trainer_state.json").write_text(state)
    (folder / "page.csv").write_text(
        '"Name","State","Created","Runtime","lr","acc"\n"a","finished","x","1","0.1","0.5"\n'
    )
    (folder / "project.csv").write_text(""",summary,config,name\n0,"{'acc': 0.5}","{'lr': 0.1}",a\n""")


def damaged(content, generator):
    """The content with some bytes changed, doubled, moved or cut off."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 4)):
        at = int(generator.integers(len(content))) if content else 0
        match generator.integers(4):
            case 0:
                content[at : at + 1] = generator.bytes(1)
            case 1:
                del content[at:]
            case 2:
                content[at:at] = content[at : at + int(generator.integers(1, 40))]
            case 3:
                content[at : at + 4] = generator.choice(
                    [b"\xff" * 4, b"\0" * 4, b'"', b"{[", b"\n\n", b"nan", b"99e999"]
                )
    return bytes(content)


def refusal(place, metric):
    """What a person is told, None where the runs are read; any other exception is a fault."""
    try:
        read_runs(place, metric=metric)
    except LastbitError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", ["wandb", "mlflow_files", "mlflow_sqlite", "trackio", "lm_eval", events, tables, logs])
def test_damage_is_one_line(kind, tmp_path):
    whole = tmp_path / "whole"
    if isinstance(kind, str):
        shutil.copytree(FIXTURES / kind, whole)
    else:
        whole.mkdir()
        kind(whole)
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    generator = np.random.default_rng(1)
    messages = []
    for _ in range(TIMES):
        file = files[int(generator.integers(len(files)))]
        content = file.read_bytes()
        file.write_bytes(damaged(content, generator))
        messages.append(refusal(file if kind in (tables, logs) else whole, METRICS.get(kind, "acc")))
        file.write_bytes(content)
    # The damage is neither always fatal nor always harmless.
    assert {message is None for message in messages} == {True, False}
    assert [message for message in messages if message and "\n" in message] == []


NAMES = [
    "recipe",
    "seed",
    "acc",
    "loss",
    "step",
    "epoch",
    "task",
    "metric",
    "value",
    "lr",
    "name",
    "seed_1",
    "seed_2",
    "",
    "doc_id",
    "(row)",
]
CELLS = ["", "1", "2", "0.5", "0.123456", "nan", "inf", "-1e400", "a", "b", "None", "1%", "true", "x-seed1", "9" * 40]


@pytest.mark.parametrize("seed", range(5))
def test_no_table_of_any_columns_is_a_traceback(seed, tmp_path):
    generator = np.random.default_rng(seed)
    file, messages = tmp_path / "runs.csv", []
    for _ in range(30):
        names = generator.choice(NAMES, generator.integers(1, 7), replace=False)
        cells = [
            generator.choice(CELLS[: generator.integers(1, len(CELLS))], (generator.integers(0, 12))) for _ in names
        ]
        rows = zip(*(np.resize(column, 12) for column in cells if len(column)), strict=True)
        file.write_text("\n".join([",".join(names), *(",".join(row) for row in rows)]) + "\n")
        messages.append(refusal(file, None if generator.integers(2) else str(generator.choice(names))))
    assert {message is None for message in messages} == {True, False}
    assert [message for message in messages if message and "\n" in message] == []
