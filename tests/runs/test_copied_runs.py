"""The same runs twice, and recipes that are one but for their names."""

import numpy as np
import polars as pl
import pytest
from tests.runs.clean_table import CLEAN, says

from lastbit.runs import read_runs
from lastbit.runs.copies import copied


def test_the_same_runs_in_two_files_count_once(table):
    lines = CLEAN.splitlines()
    first = "\n".join([*lines, "adam,3,0.919,0.29,0.1"]) + "\n"
    # The other file has a column more, a run more, and does not say all that the first does.
    other = "\n".join([f"{lines[0]},note", *(f"{line},x" for line in lines[1:]), "adam,4,0.924,0.29,0.1,x"]) + "\n"
    paths = [table(first, "first.csv"), table(other, "other.csv")]
    runs = read_runs(paths, metric="acc", by="recipe")
    assert runs.by_seed("adam") == {1: 0.921, 2: 0.918, 3: 0.919, 4: 0.924}
    assert runs.frame.height == 6
    assert set(runs.left_out["reason"]) == {"copied"}
    assert set(runs.left_out["file"]) == {str(paths[1])}
    assert says(
        runs, "The same runs twice, in two files, with the same recipes, seeds and values; they count once: 2 of"
    )
    assert not says(runs, "Some seeds occur more than once")


@pytest.mark.parametrize(
    "other",
    [
        CLEAN.replace("0.28", "0.27").replace("0.912", "0.913"),  # one run has another value
        CLEAN.replace("0.28", "0.27").replace(",2,", ",7,").replace("loss", "val_loss"),  # two runs in common
        CLEAN.replace(",0.91", ",0.9").replace(",0.92", ",0.9"),  # other values
    ],
)
def test_two_files_that_do_not_agree_are_no_copies(table, other):
    runs = read_runs([table(CLEAN, "first.csv"), table(other, "other.csv")], metric="acc", by="recipe")
    assert "copied" not in runs.left_out["reason"].to_list()


def test_equal_values_throughout_make_no_copy(table):
    text = "recipe,acc\n" + "sgd,1.0\n" * 4
    assert read_runs([table(text, "first.csv"), table(text, "other.csv")], by="recipe").frame.height == 8


@pytest.mark.parametrize(
    ("runs", "value", "is_copy"), [(3, "0.91{}057", True), (9, "0.9{}", False), (10, "0.9{}", True)]
)
def test_runs_without_seeds_are_copies_by_their_digits_or_their_number(table, runs, value, is_copy):
    text = "recipe,acc\n" + "".join(f"sgd,{value.format(1 + at % 4)}\n" for at in range(runs))
    found = read_runs([table(text, "first.csv"), table(text, "other.csv")], by="recipe")
    assert found.left_out["reason"].to_list() == ["copied"] * (runs * is_copy)
    assert set(found.left_out["file"]) == ({found.left_out["file"][0]} if is_copy else set())


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_fewer_than_three_runs_in_common_are_no_copies(table, seeds):
    header = "recipe,seed,acc,note\n"
    first = header + "".join(f"sgd,{seed},0.9{seed},a\n" for seed in (*range(seeds), 7, 8, 9))
    other = header + "".join(f"sgd,{seed},0.9{seed},b\n" for seed in (*range(seeds), 4, 5, 6))
    found = read_runs([table(first, "first.csv"), table(other, "other.csv")], metric="acc", by="recipe")
    assert found.left_out["reason"].to_list().count("copied") == (3 if seeds == 3 else 0)


def test_many_files_agree_as_pairs_of_them_do():
    rng = np.random.default_rng(0)
    rows, drawn = [], {}
    for file in range(300):  # more than a block
        seeds = rng.choice(8, size=5, replace=False)
        source = int(rng.integers(40))
        for seed in seeds:
            value = drawn.setdefault((source, int(seed)), float(rng.integers(3)))
            rows.append(
                {"recipe": "a", "task": None, "seed": int(seed), "file": f"f{(file * 7) % 300}", "value": value}
            )
    by_file = {}
    for row in rows:
        by_file.setdefault(row["file"], {})[row["seed"]] = row["value"]
    expected, earlier = {}, []
    for name, mine in by_file.items():
        for others in earlier:
            common = mine.keys() & others.keys()
            same = all(mine[seed] == others[seed] for seed in common)
            if same and len(common) >= 3 and len({mine[seed] for seed in common}) > 1:
                expected.update({(name, seed): True for seed in common})
        earlier.append(mine)
    wanted = [(row["file"], row["seed"]) in expected for row in rows]
    assert 0 < sum(wanted) < len(rows)
    assert copied(pl.DataFrame(rows, schema_overrides={"task": pl.String})).to_list() == wanted


def test_recipes_with_the_same_runs_are_said(table):
    first, other = "seed,acc\n1,0.91\n2,0.92\n3,0.91\n", "seed,acc\n3,0.91\n1,0.91\n2,0.92\n"
    runs = read_runs([table(first, "old.csv"), table(other, "new.csv")])
    assert says(
        runs,
        "In each of their 3 runs these recipes have the same value: old.csv, new.csv. They are the same runs under 2",
    )
    changed = read_runs([table(first, "old.csv"), table(other.replace("0.92", "0.93"), "new.csv")])
    assert not says(changed, "the same runs")


def test_recipes_that_differ_in_case_or_spaces_only_are_said(table):
    runs = read_runs(table("recipe,seed,acc\nSGD,1,0.9\nsgd,2,0.91\nAdam W,1,0.92\nAdamW,2,0.93\nlion,1,0.9\n"))
    assert len(runs.recipes) == 5
    assert says(runs, "'SGD', 'sgd' differ in upper and lower case or spaces only, and count as 2 recipes: if they are")
    assert says(runs, "'Adam W', 'AdamW' differ in upper and lower case")
    assert not says(runs, "'lion'")


def test_recipes_that_were_asked_for_are_not_explained(table):
    assert read_runs(table(CLEAN), metric="acc", by="recipe").notes == ()
