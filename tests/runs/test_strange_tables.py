"""Tables that are nearly none: read where their meaning is sure, and else one line on what to do."""

import json

import pandas
import polars as pl
import pytest
from tests.runs.clean_table import says

from lastbit.errors import LastbitError
from lastbit.runs import read_runs, runs_of_frame

ROWS = [("sgd", 1, 0.91), ("sgd", 2, 0.92), ("adam", 1, 0.93), ("adam", 2, 0.95)]
LINES = "\n".join(f"{recipe},{seed},{acc}" for recipe, seed, acc in ROWS)


@pytest.mark.parametrize(
    "content",
    [
        "| recipe | seed | acc |\n|:---|---:|:-:|\n" + "\n".join(f"| {r} | {s} | {a} |" for r, s, a in ROWS) + "\n",
        "recipe,seed,acc\n" + LINES.replace("\n", ",\n") + ",\n",  # commas at the ends of rows, but not of names
        "recipe,seed,acc,\n" + LINES.replace("\n", ",\n") + ",\n",
        f"recipe,seed,acc\n{LINES}\n\n# all on one machine\n",
        f"recipe,seed,acc\r{LINES}\r".replace("\n", "\r"),
        f"recipe\tseed\tacc\n{LINES}\n".replace(",", "\t").encode("utf-16"),
    ],
)
def test_tables_with_something_around_them_are_read(tmp_path, content):
    path = tmp_path / "runs.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    runs = read_runs(path)
    assert runs.recipes == ["sgd", "adam"]
    assert runs.by_seed("sgd") == {1: 0.91, 2: 0.92}
    assert runs.by_seed("adam") == {1: 0.93, 2: 0.95}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("runs.xlsx", "PK", r"runs\.xlsx is no format that is read: save its sheet as CSV$"),
        ("runs.csv.gz", "x", r"runs\.csv\.gz is no format that is read: unpack it first$"),
        ("runs.json", json.dumps({"seed": [1, 2], "acc": [0.1, 0.2]}), r"runs\.json is a single object: give a list"),
        ("runs.json", json.dumps({"runs": [{"seed": 1}]}), r"runs\.json is a single object: give a list"),
        ("runs.csv", f"recipe,seed,acc\n{LINES}\nx,1,0.9,7\n", "line 6 has 4 columns, and line 1 has 3$"),
        ("runs.csv", f"recipe,seed,acc\n{LINES}\nthe end\n", "line 6 has 1 column, and line 1 has 3$"),
    ],
)
def test_what_is_no_table_of_runs_is_one_line_with_the_cure(table, name, content, message):
    with pytest.raises(LastbitError, match=message) as error:
        read_runs(table(content, name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "acc"}, "^acc is the metric and cannot be --by too: name another column for one of them$"),
        ({"seed": "acc"}, "^acc is the metric and cannot be --seed too"),
        ({"task": "acc"}, "^acc is the metric and cannot be --task too"),
        ({"metric": "seed"}, "^seed is the metric and cannot be --seed too"),
    ],
)
def test_a_metric_is_nothing_else(table, options, message):
    with pytest.raises(LastbitError, match=message):
        read_runs(table(f"recipe,seed,acc\n{LINES}\n"), **{"metric": "acc"} | options)


def test_yes_and_no_are_not_said_to_be_rounded(table):
    lines = [f"{recipe},{seed},{(seed + at) % 3 == 0}" for at, recipe in enumerate("ab") for seed in range(6)]
    runs = read_runs(table("recipe,seed,passed\n" + "\n".join(lines) + "\n"), metric="passed")
    assert runs.values("a").tolist() == [1, 0, 0, 1, 0, 0]
    assert not says(runs, "in steps of")


def test_frames_of_any_columns_are_read():
    """Categories, structs, lists and objects of polars; pandas with a named index."""
    table = pl.DataFrame({"recipe": ["a", "a", "b", "b"], "seed": [1, 2, 1, 2], "acc": [0.91, 0.92, 0.93, 0.95]})
    more = table.with_columns(
        pl.col("recipe").cast(pl.Categorical),
        pl.Series("cfg", [{"lr": 0.1, "in": {"wd": 0}}] * 4),
        pl.Series("layers", [[1, 2]] * 4),
        pl.Series("net", [object()] * 4, dtype=pl.Object),
    )
    indexed = pandas.DataFrame(table.to_dict(as_series=False))
    for frame in (more, more.lazy(), indexed.set_index("recipe"), indexed.set_index(["recipe", "seed"])):
        runs = runs_of_frame(frame, metric="acc")
        assert (runs.by, runs.by_seed("b")) == (("recipe",), {1: 0.93, 2: 0.95})
    twice = pandas.concat([indexed, indexed[["acc"]]], axis=1)
    with pytest.raises(LastbitError, match=r"^the frame has two columns called 'acc': rename one of them$"):
        runs_of_frame(twice, metric="acc")


@pytest.mark.parametrize("missing", ["", "nan", "NA", "n/a", "None", "-"])
def test_a_seed_that_is_written_as_missing_is_none(table, missing):
    runs = read_runs(table(f"recipe,seed,acc\n{LINES}\nsgd,{missing},0.9\n"))
    assert runs.frame["seed"].to_list() == [1, 2, 1, 2, None]
    assert says(runs, "1 of 5 runs has no seed (row 6), and is in no pair.")


def test_columns_of_recipes_may_be_empty(table):
    runs = read_runs(table("seed,x,y,z\n1,1.5,,1.1\n2,,,1.2\n3,2.5,,\n4,3.5,,1.9\n"))
    assert runs.recipes == ["x", "z"]
    assert runs.by_seed("x") == {1: 1.5, 3: 2.5, 4: 3.5}
