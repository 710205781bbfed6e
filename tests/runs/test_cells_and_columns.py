"""Percents, text in cells, and the values of seeds in columns of their own."""

import pytest
from tests.runs.clean_table import CLEAN, says

from lastbit.errors import LastbitError
from lastbit.runs import read_runs

PERCENTS = "recipe,seed,acc\nsgd,1,93.5%\nsgd,2,93.9 %\nadam,1,94.1%\nadam,2,{}\nadam,3,94.3%\n"


@pytest.mark.parametrize("cell", ["", "n/a", "-", "None"])
def test_percents_beside_an_empty_cell_are_numbers(table, cell):
    runs = read_runs(table(PERCENTS.format(cell)))
    assert runs.metric == "acc"
    assert runs.by_seed("sgd") == {1: 93.5, 2: 93.9}
    assert runs.by_seed("adam") == {1: 94.1, 3: 94.3}
    assert runs.left_out.select("row", "reason").rows() == [(5, "no value")]


def test_percents_beside_a_run_that_diverged_are_numbers(table):
    assert read_runs(table(PERCENTS.format("nan"))).left_out["reason"].to_list() == ["diverged"]


def test_only_the_text_beside_percents_is_named(table):
    with pytest.raises(LastbitError, match=r"^acc: 'OOM' in row 5 of \S+ is no number: write a number, nan for"):
        read_runs(table(PERCENTS.format("OOM")))


def test_percents_beside_plain_numbers_are_refused(table):
    with pytest.raises(LastbitError, match=r"^acc: '0.945' in row 5 of \S+ has no percent sign and others do"):
        read_runs(table(PERCENTS.format("0.945")))
    with pytest.raises(LastbitError, match=r"^acc: '91%' in row 3 of \S+ has a percent sign and others have none"):
        read_runs(table(CLEAN.replace("0.912", "91%")), metric="acc")


def test_decimal_commas_of_percents_are_read_beside_text(table):
    text = PERCENTS.format("n/a").replace(",", ";").replace(".", ",")
    assert read_runs(table(text)).by_seed("sgd") == {1: 93.5, 2: 93.9}


def test_other_results_in_percents_make_no_recipe(table):
    lines = [
        f"{recipe},{seed},{gain + seed / 7:.3f}%,{gain + seed / 3:.3f}%"
        for recipe, gain in (("a", 80), ("b", 90))
        for seed in (1, 2, 3)
    ]
    runs = read_runs(table("recipe,seed,acc,val_acc\n" + "\n".join(lines) + "\n"), metric="acc")
    assert runs.notes == ("Recipes are told apart by recipe.",)


@pytest.mark.parametrize("form", ["acc_{}", "acc{}", "acc seed {}", "acc/seed={}", "test_acc_{}", "val-acc run{}"])
def test_columns_of_a_metric_that_count_are_seeds(table, form):
    names = [form.format(seed) for seed in (1, 2, 3)]
    runs = read_runs(table(f"method,lr,{','.join(names)}\na,0.1,0.11,0.12,0.13\nb,0.1,0.21,,0.23\n"))
    assert runs.by == ("method",)
    assert runs.by_seed("a") == {1: 0.11, 2: 0.12, 3: 0.13}
    assert runs.by_seed("b") == {1: 0.21, 3: 0.23}
    assert runs.metric.replace("-", "_").endswith("acc")
    assert says(runs, f"The columns {', '.join(names)} are taken as seeds: each row is a recipe")


@pytest.mark.parametrize(
    "names",
    ["acc1,acc5", "top1,top5", "acc@1,acc@2,acc@3", "top_1,top_2,top_3", "bleu_1,bleu_2", "f1,f2,f3", "acc1,acc2"],
)
def test_metrics_with_a_number_in_their_name_are_no_seeds(table, names):
    values = [",".join(f"0.{seed}{at}" for at in range(names.count(",") + 1)) for seed in (1, 2)]
    path = table(f"method,seed,{names}\na,1,{values[0]}\na,2,{values[1]}\nb,1,{values[0]}\nb,2,{values[1]}\n")
    first = names.partition(",")[0]
    assert read_runs(path, metric=first, by="method").by_seed("a") == {1: 0.1, 2: 0.2}
    without = table(f"method,{names}\na,{values[0]}\nb,{values[1]}\n")
    assert read_runs(without, metric=first, by="method").seed == ()
    assert not says(read_runs(without, metric=first), "taken as seeds")


@pytest.mark.parametrize(
    "form",
    ["val_acc/dataloader_idx_{}", "acc_task_{}", "acc_class{}", "class_acc_{}", "layer_{}_acc", "acc/head {}",
     "test_loss_epoch_{}", "acc_step_{}", "acc_car_{}", "acc_client_{}"],
)  # fmt: skip
def test_parts_of_a_run_are_no_seeds(table, form):
    names = [form.format(part) for part in (0, 1, 2)]
    text = f"method,{','.join(names)}\na,0.11,0.52,0.93\na,0.12,0.51,0.92\nb,0.21,0.62,0.83\nb,0.22,0.61,0.82\n"
    with pytest.raises(LastbitError, match=f"name the metric by --metric.*{names[0]}"):
        read_runs(table(text))
    one = read_runs(table(text), metric=names[1], by="method")
    assert one.values("a").tolist() == [0.52, 0.51]
    assert not says(one, "taken as seeds")


@pytest.mark.parametrize("family", ["acc_task", "val_acc/dataloader_idx", "class_acc"])
def test_parts_of_a_run_are_no_seeds_of_a_metric_that_is_asked_for(table, family):
    names = ",".join(f"{family}_{part}" for part in (0, 1, 2))
    with pytest.raises(LastbitError, match=rf"--metric {family}: .* has no such column; .*{family}_"):
        read_runs(table(f"method,{names}\na,0.11,0.52,0.93\nb,0.21,0.62,0.83\n"), metric=family)


@pytest.mark.parametrize("family", ["bleu", "recall", "ndcg"])
@pytest.mark.parametrize("asks", [True, False])
def test_metrics_of_the_first_k_are_no_seeds(table, family, asks):
    path = table(f"method,{family}_1,{family}_2,{family}_3\na,0.11,0.22,0.33\nb,0.21,0.32,0.43\n")
    with pytest.raises(LastbitError, match=f"{family}_1"):
        read_runs(path, metric=family if asks else None)


@pytest.mark.parametrize("numbers", [(1, 5), (10, 20, 30), (1, 2, 4), (2, 3, 4)])
def test_numbers_that_are_not_in_a_row_count_no_runs(table, numbers):
    names = ",".join(f"acc_{number}" for number in numbers)
    values = [",".join(f"0.{recipe}{at}" for at in range(len(numbers))) for recipe in (1, 2)]
    with pytest.raises(LastbitError, match=f"name the metric by --metric.*acc_{numbers[0]}"):
        read_runs(table(f"method,{names}\na,{values[0]}\nb,{values[1]}\n"))


@pytest.mark.parametrize("family", ["acc_test", "success_rate", "cross_entropy", "val/bits_per_byte"])
def test_data_and_averages_may_follow_the_word_of_a_metric(table, family):
    runs = read_runs(table(f"method,{family}_1,{family}_2\na,0.11,0.12\nb,0.21,0.22\n"))
    assert (runs.metric, runs.by_seed("b")) == (family, {1: 0.21, 2: 0.22})


def test_folds_are_paired_and_said_to_be_no_seeds(table):
    words = "Folds are compared as if they were seeds, fold by fold: but each is tested on other data"
    text = "method,acc_{0}1,acc_{0}2,acc_{0}3\na,0.11,0.12,0.13\nb,0.21,0.22,0.23\n"
    folds, seeds = (read_runs(table(text.format(word))) for word in ("fold", "seed"))
    assert folds.by_seed("b") == seeds.by_seed("b") == {1: 0.21, 2: 0.22, 3: 0.23}
    assert says(folds, words)
    assert not says(seeds, words)
    named = "run,acc\na-fold1,0.11\na-fold2,0.12\nb-fold1,0.21\nb-fold2,0.22\n"
    assert says(read_runs(table(named)), words)
    assert not says(read_runs(table(named.replace("fold", "seed"))), words)


def test_of_several_metrics_with_seeds_the_one_asked_for_is_read(table):
    path = table("method,acc_s1,acc_s2,loss_s1,loss_s2\na,0.1,0.2,3,4\nb,0.3,0.4,5,6\n")
    assert read_runs(path, metric="loss").by_seed("b") == {1: 5, 2: 6}
    with pytest.raises(LastbitError, match="several metrics: name one by --metric; there are acc, loss"):
        read_runs(path)
    with pytest.raises(LastbitError, match=r"--metric accuracy: .* has no such column"):
        read_runs(path, metric="accuracy")


def test_text_in_a_column_of_a_seed_is_named(table):
    with pytest.raises(LastbitError, match=r"^acc: 'OOM' in row 3 of .* is no number"):
        read_runs(table("method,acc_1,acc_2,acc_3\na,0.1,0.2,0.3\nb,0.4,OOM,0.6\n"))
