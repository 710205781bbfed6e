"""Tables that are nearly none: read where their meaning is sure, and else one line on what to do."""

import json

import pytest
from tests.runs.clean_table import says

from lastbit.errors import LastbitError
from lastbit.runs import read_runs

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
