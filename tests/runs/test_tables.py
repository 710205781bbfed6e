"""Tables as people have them: which columns are what, and what is said of them."""

import json

import numpy as np
import pandas
import polars as pl
import pytest
from tests.runs.clean_table import CLEAN, says

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.runs import read_runs, runs_of_frame


def test_a_clean_table_is_read_as_it_is(table):
    runs = read_runs(table(CLEAN), metric="acc")
    assert runs.by == ("recipe",)
    assert runs.seed == ("seed",)
    assert runs.recipes == ["sgd", "adam"]
    assert runs.by_seed("adam") == {1: 0.921, 2: 0.918}
    np.testing.assert_array_equal(runs.values("sgd"), [0.911, 0.912])
    assert runs.frame["row"].to_list() == [2, 3, 4, 5]
    assert runs.notes == ("Recipes are told apart by recipe.",)
    assert not runs.lower_is_better
    assert runs.left_out.height == 0


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.parquet", "runs.tsv", "runs.json", "excel.csv"])
def test_every_way_of_writing_a_table_gives_the_same(table, tmp_path, name):
    frame = pl.read_csv(table(CLEAN))
    path = tmp_path / name
    if name == "runs.jsonl":
        frame.write_ndjson(path)
    elif name == "runs.json":
        path.write_text(json.dumps(frame.to_dicts()), encoding="utf-8")
    elif name == "runs.parquet":
        frame.write_parquet(path)
    elif name == "runs.tsv":
        frame.write_csv(path, separator="\t")
    else:  # as a German Excel writes it
        path.write_text("\ufeff" + CLEAN.replace(",", ";").replace(".", ","), encoding="utf-8")
    runs = read_runs(path, metric="acc")
    expected = read_runs(table(CLEAN), metric="acc")
    assert runs.frame.drop("file", "row").equals(expected.frame.drop("file", "row"))
    assert runs.settings == expected.settings


def test_recipes_are_all_settings_but_the_seed(table):
    runs = read_runs(
        table(
            "name,optim.lr,wd,seed,created,acc,epochs\n"
            "a,0.1,0,1,mon,0.5111,9\nb,1e-1,0,2,tue,0.5222,9\nc,0.2,0,1,wed,0.5333,9\nd,0.20,1e-4,1,thu,0.5444,9\n"
        )
    )
    assert runs.metric == "acc"
    assert runs.by == ("optim.lr", "wd")
    assert runs.recipes == ["lr=0.1, wd=0", "lr=0.2, wd=0", "lr=0.2, wd=0.0001"]
    assert runs.settings["lr=0.2, wd=0.0001"] == {"optim.lr": "0.2", "wd": "0.0001"}


def test_by_overrides(table):
    runs = read_runs(table(CLEAN), metric="acc", by="lr")
    assert runs.recipes == ["lr=0.1"]
    assert says(runs, "sgd") is False
    assert says(runs, "Some seeds occur more than once: lr=0.1 seed 1 (2 times)")
    assert runs.by_seed("lr=0.1") == {1: pytest.approx(0.916), 2: pytest.approx(0.915)}


def test_a_column_that_is_not_there_brings_the_nearest_names(table):
    with pytest.raises(LastbitError, match=r"--metric accuracy: .*no such column; the nearest is acc$"):
        read_runs(table(CLEAN), metric="accuracy")
    with pytest.raises(LastbitError, match=r"--by recpie: .*the nearest is recipe$"):
        read_runs(table(CLEAN), metric="acc", by="recpie")
    with pytest.raises(LastbitError, match=r"--metric zzzz: .*there are recipe, seed, acc, loss, lr$"):
        read_runs(table(CLEAN), metric="zzzz")


def test_the_metric_must_be_named_where_there_are_several(table):
    with pytest.raises(LastbitError, match=r"name the metric by --metric: .* has acc, loss"):
        read_runs(table(CLEAN))


def test_text_in_the_metric_names_the_rows(table):
    path = table(CLEAN.replace("0.912", "oops").replace("0.918", "0.9*"))
    with pytest.raises(LastbitError, match=r"acc: 'oops' in row 3 of .*, '0.9\*' in row 5 of .* are no numbers"):
        read_runs(path, metric="acc")


@pytest.mark.parametrize(
    "head",
    [
        "# by me, in May, with care\n\n#, ,\n  # recipe;seed\nrecipe,seed,acc\n",
        "# by me\n# recipe,seed,acc\n",  # as numpy's savetxt writes names
        "sep=,\nrecipe,seed,acc\n",  # as Excel reads it
    ],
)
def test_comments_before_the_names_of_columns_are_read_past(table, head):
    runs = read_runs(table(head + "sgd,1,0.91\nsgd,2,0.92\nadam,1,0.93\nadam,2,0.95\n"))
    assert runs.by_seed("sgd") == {1: 0.91, 2: 0.92}
    assert runs.by_seed("adam") == {1: 0.93, 2: 0.95}
    first = head.count("\n") + 1
    assert runs.frame["row"].to_list() == list(range(first, first + 4))


@pytest.mark.parametrize("cell", ["93.1 ± 0.2", "93.1±.2", "9.31e1 +/- 0.2", "93.1 (0.2)", "93.1% ± 0.2%"])
def test_means_with_spreads_are_told_from_other_text(table, cell):
    with pytest.raises(
        LastbitError, match=r"in row 2 of .* is a mean with its spread: give single runs, a row for each"
    ):
        read_runs(table(f"recipe,acc\nsgd,{cell}\nadam,93.3\n"), metric="acc")
    with pytest.raises(LastbitError, match="are no numbers: write a number"):
        read_runs(table(f"recipe,acc\nsgd,{cell}\nadam,oops\n"), metric="acc")


def test_columns_of_means_and_spreads_bring_a_hint(table):
    hint = r"\. {} look like means and spreads of several runs: give single runs"
    path = table("recipe,mean,std,n\nsgd,93.1,0.2,5\nadam,93.3,0.1,5\n")
    with pytest.raises(LastbitError, match=hint.format("mean and std")):
        read_runs(path)
    with pytest.raises(LastbitError, match=hint.format("acc_mean and acc_sd")):
        read_runs(table("recipe,acc_mean,acc_sd\nsgd,93.1,0.2\nadam,93.3,0.1\n"), metric="acc")
    with pytest.raises(LastbitError, match=r"nearest is mean_acc$"):
        read_runs(table("recipe,mean_acc\nsgd,93.1\nadam,93.3\n"), metric="meen_acc")


def test_rows_of_quoted_lines_keep_their_numbers(table):
    path = table('recipe,seed,notes,acc\nsgd,1,"two\nlines",0.5\nsgd,2,,bad\n')
    with pytest.raises(LastbitError, match="'bad' in row 4 of"):
        read_runs(path, metric="acc")


def test_diverged_and_empty_runs_are_left_out_and_said(table):
    runs = read_runs(table(CLEAN + "adam,3,nan,0.3,0.1\nsgd,3,,0.3,0.1\nsgd,4,inf,0.3,0.1\n"), metric="acc")
    assert runs.left_out["reason"].to_list() == ["diverged", "no value", "diverged"]
    assert runs.left_out["row"].to_list() == [6, 7, 8]
    assert says(runs, "Diverged and left out, since acc is not finite")
    assert says(runs, "1 of adam, 1 of sgd (row 6, row 8)")
    assert runs.frame.height == 4


def test_a_recipe_that_lost_all_runs_is_said(table):
    runs = read_runs(table(CLEAN + "lion,1,nan,0.3,0.1\n"), metric="acc")
    assert says(runs, "No run of lion is left.")
    assert runs.recipes == ["sgd", "adam"]
    with pytest.raises(LastbitError, match="has no run with a finite acc"):
        read_runs(table("recipe,seed,acc\na,1,nan\nb,1,nan\n"), metric="acc")


def test_fractions_beside_percents_are_said_and_nothing_is_converted(table):
    runs = read_runs(table(CLEAN.replace("0.918", "91.8")), metric="acc")
    assert says(runs, "1 of 4 values of acc looks like percent (row 5), the others like fractions")
    assert runs.by_seed("adam")[2] == 91.8
    percents = "recipe,seed,acc\na,1,91.1\na,2,0.92\na,3,91.2\n"
    assert says(read_runs(table(percents), metric="acc"), "1 of 3 values of acc looks like a fraction (row 3)")
    assert not says(read_runs(table(percents.replace("0.92", "92")), metric="acc"), "look like")


def test_less_is_better_by_name_and_it_is_said(table):
    runs = read_runs(table(CLEAN), metric="loss")
    assert runs.lower_is_better
    assert says(runs, "Lower loss is taken to be better")
    asked = read_runs(table(CLEAN), metric="loss", lower_is_better=False)
    assert not asked.lower_is_better
    assert not says(asked, "is taken to be better")
    unclear = read_runs(table(CLEAN.replace("acc", "quux")), metric="quux")
    assert says(unclear, "Higher quux is taken to be better; its name does not say")


def test_a_run_pasted_twice_counts_once(table):
    runs = read_runs(table(CLEAN + "adam,2,0.918,0.29,0.1\n"), metric="acc")
    assert runs.frame.height == 4
    assert runs.left_out["reason"].to_list() == ["repeated"]
    assert says(runs, "Left out as repetitions")
    # The same seed with another value is a second run of it.
    other = read_runs(table(CLEAN + "adam,2,0.919,0.29,0.1\n"), metric="acc")
    assert other.frame.height == 5
    assert says(other, "adam seed 2 (2 times)")


def test_equal_values_of_many_digits_are_suspicious_under_other_seeds(table):
    text = "recipe,seed,acc\na,1,0.9123457\na,2,0.9123457\na,3,0.9\nb,1,0.91\nb,2,0.91\n"
    runs = read_runs(table(text), metric="acc")
    assert says(runs, "2 runs share their value with another to the last digit (row 2, row 3)")
    assert not says(read_runs(table(text.replace("0.9123457", "0.912")), metric="acc"), "share their value")


def test_without_a_seed_the_assumption_is_said(table):
    runs = read_runs(table("recipe,acc\na,0.91\na,0.92\nb,0.93\nb,0.94\n"))
    assert runs.seed == ()
    assert runs.frame["seed"].null_count() == 4
    assert says(runs, "No column holds the seed")
    assert runs.by_seed("a") == {}


def test_seeds_in_the_names_of_runs(table):
    runs = read_runs(table("run,acc\nsgd-seed1,0.91\nsgd-seed2,0.92\nadam-seed1,0.93\nadam-seed2,0.94\n"))
    assert runs.recipes == ["sgd", "adam"]
    assert runs.by_seed("adam") == {1: 0.93, 2: 0.94}
    assert says(runs, "The seeds are the numbers in the names of the runs, such as 'sgd-seed1'")


def test_missing_and_uneven_seeds_are_said(table):
    runs = read_runs(table(CLEAN + "sgd,,0.913,0.3,0.1\nsgd,5,0.914,0.3,0.1\n"), metric="acc")
    assert says(runs, "1 of 6 runs has no seed (row 6), and is in no pair.")
    assert runs.frame["seed"].to_list() == [1, 2, 1, 2, None, 5]


def test_a_single_run_is_said(table):
    runs = read_runs(table(CLEAN + "lion,1,0.9,0.3,0.1\n"), metric="acc")
    assert says(runs, "lion has a single run: one run says nothing")


HISTORY = "recipe,seed,step,acc\n" + "".join(
    f"{recipe},{seed},{step},{value}\n"
    for recipe, seed, values in [("a", 1, (0.1, 0.9, 0.8)), ("a", 2, (0.2, 0.7, 0.75)), ("b", 1, (0.3, 0.4, "nan"))]
    for step, value in zip((0, 10, 20), values, strict=True)
)


@pytest.mark.parametrize(
    ("step", "a", "reason"),
    [
        ("last", [0.8, 0.75], "diverged"),
        ("best", [0.9, 0.75], "diverged"),
        (10, [0.9, 0.7], None),
        (15, [0.9, 0.7], None),
    ],
)
def test_histories_end_at_the_step_of_the_rule(table, step, a, reason):
    runs = read_runs(table(HISTORY), step=step)
    assert runs.values("a").tolist() == a
    assert runs.left_out["reason"].to_list() == ([reason] if reason else [])
    assert says(
        runs, {"last": "The last acc of each run", "best": "The largest acc of each run"}.get(step, "at step 1")
    )


def test_the_best_of_a_loss_is_the_smallest(table):
    runs = read_runs(table(HISTORY.replace("acc", "val_loss").replace("nan", "0.4")), step="best")
    assert runs.values("a").tolist() == [0.1, 0.2]


def test_a_step_before_all_values_is_refused(table):
    with pytest.raises(LastbitError, match="--step 3: no run has a value that early; the first is at step 5"):
        read_runs(table("recipe,seed,step,acc\na,1,5,0.1\na,1,10,0.2\n"), step=3)
    with pytest.raises(LastbitError, match="--step first: say last, best, or the number"):
        read_runs(table(HISTORY), step="first")


def test_columns_of_seeds_are_runs(table):
    runs = read_runs(table("method,seed_1,seed_2,seed_3\na,0.1,0.2,0.3\nb,0.4,,0.6\n"), metric="acc")
    assert runs.metric == "acc"
    assert runs.by_seed("a") == {1: 0.1, 2: 0.2, 3: 0.3}
    assert runs.by_seed("b") == {1: 0.4, 3: 0.6}


def test_metrics_below_each_other(table):
    text = "model,seed,metric,value\na,1,acc,0.1\na,1,loss,2\na,2,acc,0.2\na,2,loss,3\n"
    assert read_runs(table(text), metric="loss").by_seed("a") == {1: 2, 2: 3}
    with pytest.raises(LastbitError, match="several metrics: name one by --metric; there are acc, loss"):
        read_runs(table(text))


def test_tasks_stay_apart(table):
    text = "model,seed,dataset,acc\n" + "".join(
        f"{model},{seed},{task},{0.1 * seed}\n" for model in "ab" for seed in (1, 2) for task in ("x", "y")
    )
    runs = read_runs(table(text))
    assert runs.tasks == ["x", "y"]
    assert runs.by == ("model",)
    assert runs.values("a", "y").tolist() == [0.1, 0.2]
    assert not says(runs, "more than once")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "has no row"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 columns, and line 1 has 2"),
        ("a,a\n1,2\n", "two columns called 'a'"),
        ("# only\n# comments\n", "is empty"),
        ("# a comment\na,b\n1,2\n1,2,3\n", "line 4 has 3 columns, and line 2 has 2"),
        ("PNG\0\0\0", "holds bytes that are no text"),
    ],
)
def test_what_is_no_table_is_said_in_one_line(table, content, message):
    with pytest.raises(LastbitError, match=message) as error:
        read_runs(table(content))
    assert "\n" not in str(error.value)


def test_files_of_other_kinds_are_refused(table, tmp_path):
    with pytest.raises(LastbitError, match="is neither a table nor one of a tracker's files: read are "):
        read_runs(table("x", "image.png"))
    with pytest.raises(LastbitError, match="does not exist"):
        read_runs(tmp_path / "nothing")
    with pytest.raises(LastbitError, match="line 2 is no JSON"):
        read_runs(table('{"a": 1}\n{"a": \n', "runs.jsonl"))
    with pytest.raises(LastbitError, match="is no Parquet file"):
        read_runs(table("nothing", "runs.parquet"))


def test_several_files_are_recipes_where_nothing_else_tells_them_apart(table):
    one, other = table("seed,acc\n1,0.1\n2,0.2\n", "new.csv"), table("seed,acc\n1,0.3\n2,0.4\n", "old.csv")
    runs = read_runs([one, other])
    assert runs.recipes == ["new.csv", "old.csv"]
    assert runs.values(runs.recipes[1]).tolist() == [0.3, 0.4]


def test_frames_are_taken_as_they_are(table):
    expected = read_runs(table(CLEAN), metric="acc")
    polars = pl.read_csv(table(CLEAN))
    for frame in (polars, polars.lazy()):
        runs = runs_of_frame(frame, metric="acc")
        assert runs.frame.drop("file", "row").equals(expected.frame.drop("file", "row"))
    with pytest.raises(LastbitTypeError, match="a list is no table"):
        runs_of_frame([1, 2])


def test_examples_are_averaged_and_kept(table):
    rows = [(m, s, p, e, (m + p + s * e) % 3 > 0) for m in (0, 1) for s in (1, 2) for p in (5, 6) for e in (1, 2, 3)]
    lines = [f"m{m},{s},p{p},{p}-{e},{right}" for m, s, p, e, right in rows]
    path = table("model,seed,patient,example,correct\n" + "\n".join(lines) + "\n")
    runs = read_runs(path, metric="correct", cluster="patient")
    for m in (0, 1):
        expected = {s: np.mean([right for a, b, *_, right in rows if (a, b) == (m, s)]) for s in (1, 2)}
        assert runs.by_seed(f"m{m}") == pytest.approx(expected)
    assert runs.examples.columns == ["recipe", "seed", "task", "example", "cluster", "value"]
    assert runs.examples["cluster"].to_list() == [f"p{p}" for _, _, p, _, _ in rows]
    assert runs.examples["value"].to_list() == [float(right) for *_, right in rows]


@pytest.mark.parametrize(
    ("example", "cluster", "message"),
    [
        ("seed", None, "--example seed: this column is that of the seed; name the one of the examples$"),
        ("doc", "acc", "--cluster acc: this column is the metric; name"),
        ("recipe", None, "--example recipe: this column is that of the recipe"),
        (None, "doc", r"--cluster doc needs --example NAME: the column that says which example of doc a row is of$"),
        ("doc", "doc", "--example doc and --cluster doc: examples and their clusters need two columns$"),
        ("dok", None, r"no such column; the nearest is doc$"),
        ("zzzz", None, r"no such column; there are recipe, seed, doc, acc$"),
    ],
)
def test_columns_that_are_no_examples_are_refused_in_one_line(table, example, cluster, message):
    text = "recipe,seed,doc,acc\na,1,x,0.11\na,2,y,0.12\nb,1,x,0.13\nb,2,y,0.14\n"
    with pytest.raises(LastbitError, match=message):
        read_runs(table(text), by="recipe", metric="acc", seed="seed", example=example, cluster=cluster)


@pytest.mark.parametrize(
    ("empty", "message"), [("doc", "doc is empty in row 3 of "), ("item", "item is empty in row 3 ")]
)
def test_rows_that_do_not_say_their_example_or_its_cluster_are_refused(table, empty, message):
    content = {"doc": ["d1", "d1", "d2", "d2"], "item": ["x", "y", "x", "y"]}
    content[empty][1] = " " if empty == "doc" else ""
    lines = [f"a,1,{doc},{item},0.5" for doc, item in zip(*content.values(), strict=True)]
    path = table(
        "\n".join(["recipe,seed,doc,item,acc", *lines, "b,1,d1,x,", "b,2,,x,"]) + "\n"
    )  # without a value: no example
    with pytest.raises(LastbitError, match=f"{message}.*: write which {empty} each row is of, or leave"):
        read_runs(path, by="recipe", metric="acc", seed="seed", example="item", cluster="doc")


def test_pandas_frames_are_taken_as_they_are(table):
    frame = pandas.read_csv(table(CLEAN.replace("0.918", "")))
    runs = runs_of_frame(frame, metric="acc")
    assert runs.by_seed("sgd") == {1: 0.911, 2: 0.912}
    assert runs.left_out["reason"].to_list() == ["diverged"]
    nullable = runs_of_frame(frame.convert_dtypes(), metric="acc")
    assert nullable.left_out["reason"].to_list() == ["no value"]
    assert nullable.by_seed("sgd") == {1: 0.911, 2: 0.912}


def test_columns_are_recipes_where_nothing_else_is_there(table):
    runs = read_runs(table("seed,sgd,adam\n1,90.1,90.5\n2,90.2,90.7\n3,90.3,\n"))
    assert runs.recipes == ["sgd", "adam"]
    assert runs.by_seed("adam") == {1: 90.5, 2: 90.7}
    assert says(runs, "The columns sgd, adam are taken as recipes")
    with pytest.raises(LastbitError, match=r"name the metric by --metric: .* has acc, loss"):
        read_runs(table("seed,acc,loss\n1,0.11,0.21\n2,0.12,0.22\n3,0.13,0.23\n"))


def test_directories_do_not_name_seeds(tmp_path):
    path = tmp_path / "s2" / "run 7.csv"
    path.parent.mkdir()
    path.write_text("recipe,acc\na,0.91\na,0.92\nb,0.93\nb,0.94\n")
    assert says(read_runs(path), "No column holds the seed")


def test_several_names_are_told_by_commas(table):
    runs = read_runs(table(CLEAN), metric="acc", by="recipe, lr")
    assert runs.recipes == ["recipe=sgd, lr=0.1", "recipe=adam, lr=0.1"]
    assert runs.by == ("recipe", "lr")


def test_rows_without_a_recipe_are_said(table):
    runs = read_runs(table(CLEAN + ",1,0.95,0.2,0.1\n,2,0.96,0.2,0.1\n"), metric="acc")
    assert runs.recipes == ["sgd", "adam", "(none)"]
    assert says(runs, "2 runs have nothing in recipe (row 6, row 7): they are a recipe of their own")


def test_a_number_of_the_row_makes_no_recipes(table):
    """Many recipes are refused only where they were found by itself, and next to none has two runs."""
    lines = [f"{recipe},{at},{at / 7:.4f}" for recipe in "ab" for at in range(60)]
    path = table("kind,trial_number,acc\n" + "\n".join(lines) + "\n")
    with pytest.raises(LastbitError, match=r"^trial_number makes 120 recipes of 120 runs, .* by --by NAME$"):
        read_runs(path)
    assert read_runs(path, by="kind").recipes == ["a", "b"]
    assert len(read_runs(path, by="kind,trial_number").recipes) == 120
    twice = table("kind,trial_number,acc\n" + "\n".join(f"{line}\n{line}1" for line in lines) + "\n")
    assert len(read_runs(twice).recipes) == 120


def test_a_file_of_one_column_is_refused(table):
    with pytest.raises(LastbitError, match=r"has a single column, 'recipe seed acc': put commas"):
        read_runs(table("recipe seed acc\nA 1 0.5\n"))


def test_a_column_that_follows_from_another_does_not_lengthen_names(table):
    runs = read_runs(
        table(
            "lr,recipe,seed,wd,acc\n"
            + "".join(
                f"{lr},{recipe},{seed},{wd},0.{seed}{wd}\n"
                for recipe, lr in (("a", 1), ("b", 2))
                for seed in (1, 2)
                for wd in (5, 6)
            )
        )
    )
    assert runs.by == ("recipe", "wd")
    assert runs.recipes[0] == "recipe=a, wd=5"
    assert runs.settings["recipe=b, wd=6"] == {"recipe": "b", "wd": "6", "lr": "2"}
    assert says(runs, "Recipes are told apart by recipe, wd; lr follows from that.")


def test_only_the_same_run_is_a_repetition(table):
    head = "recipe,lr,seed,date,acc\n"
    other_settings = "a,0.1,1,mon,0.5\na,0.2,1,mon,0.5\nb,0.1,1,mon,0.6\nb,0.1,2,mon,0.7\n"
    assert read_runs(table(head + other_settings), metric="acc", by="recipe").left_out.height == 0
    # A value of two digits may come twice by chance, one of seven does not.
    again = "a,0.1,1,mon,0.5\na,0.1,1,tue,0.5\nb,0.1,1,mon,0.1234567\nb,0.1,1,tue,0.1234567\n"
    assert read_runs(table(head + again), metric="acc", by="recipe").left_out["row"].to_list() == [5]
    # Without a seed, two runs of a recipe may well have the same accuracy.
    assert read_runs(table("recipe,acc\na,0.91\na,0.91\nb,0.92\nb,0.93\n")).left_out.height == 0


@pytest.mark.parametrize(("column", "good", "bad"), [("Status", "FINISHED", "FAILED"), ("state", "COMPLETE", "PRUNED")])
def test_the_exports_of_other_tools_say_how_runs_ended(table, column, good, bad):
    """MLflow's page and `search_runs`, Optuna's `trials_dataframe`."""
    head = f"{column},params.lr,params.seed,tags.mlflow.runName,metrics.acc\n"
    rows = [(good, 0.1, 1, 0.5), (good, 0.1, 2, 0.6), (bad, 0.2, 1, 0.1), (good, 0.2, 2, 0.7)]
    text = head + "".join(f"{state},{lr},{seed},run{at},{acc}\n" for at, (state, lr, seed, acc) in enumerate(rows))
    runs = read_runs(table(text))
    assert runs.metric == "metrics.acc"
    assert runs.by == ("params.lr",)
    assert runs.left_out.select("row", "reason").rows() == [(4, "unfinished")]
    # A state that says something else is a column as any.
    assert read_runs(table(text.replace(bad, "california"))).left_out.height == 0
