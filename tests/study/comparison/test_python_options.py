"""What a person may hand to `compare` in Python: baselines as values, and one line for what is of another kind."""

import warnings

import numpy as np
import pandas
import polars as pl
import pytest

import lastbit as lb
from lastbit.errors import LastbitError, LastbitTypeError

FRAME = pl.DataFrame(
    [
        {"lr": lr, "seed": seed, "acc": 90 + 10 * lr + (7 * seed + 30 * lr) % 4 / 10}
        for lr in (0.1, 0.2, 1.0)
        for seed in (1, 2, 3, 4)
    ]
)


def compared(frame=FRAME, **options):
    return lb.compare(frame, **{"by": "lr", "metric": "acc", "seed": "seed"} | options)


@pytest.mark.parametrize("baseline", [0.2, "0.2", "0.20", "2e-1", "lr=0.2", np.float64(0.2)])
def test_a_baseline_may_be_the_value_of_the_column(baseline):
    assert compared(baseline=baseline).baseline == "lr=0.2"


def test_a_whole_number_is_the_value_with_a_point_too():
    assert compared(baseline=1).baseline == compared(baseline=1.0).baseline == "lr=1"


def test_a_recipe_that_is_not_there_is_told_the_nearest_and_all_others():
    with pytest.raises(
        LastbitError, match=r"^there is no recipe '3' for the baseline: there are lr=0.1, lr=0.2, lr=1$"
    ):
        compared(baseline=3)
    named = FRAME.select(pl.col("lr").replace_strict({0.1: "base", 0.2: "new", 1.0: "wd"}).alias("lr"), "seed", "acc")
    with pytest.raises(
        LastbitError, match=r"no recipe 'neu' for the baseline: the nearest is new; there are base, new, wd$"
    ):
        compared(named, baseline="neu")


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ({"metric": ["acc"]}, r"metric=\['acc'\]: \['acc'\] is no text; give one name"),
        ({"by": 3}, "by=3: 3 is no text; give the name of a column, or several"),
        ({"by": ["lr", 3]}, r"by=\['lr', 3\]: 3 is no text"),
        ({"seed": 3}, "seed=3: 3 is no text"),
        ({"task": 3}, "task=3: 3 is no text; give one name"),
        ({"example": ["a"]}, r"example=\['a'\]"),
        ({"baseline": ["lr=0.1"]}, r"baseline=\['lr=0.1'\]: give the name of a recipe, or its value"),
        ({"within": "0.3"}, "within '0.3': a margin must be a number"),
        ({"within": True}, "within True: a margin must be a number"),
    ],
)
def test_options_of_another_kind_are_refused_in_one_line(option, complaint):
    with pytest.raises(LastbitTypeError, match=complaint):
        compared(**option)


@pytest.mark.parametrize("gain", [float("nan"), "x", 0, -1, float("inf"), True, None])
def test_a_gain_that_is_none_is_refused_by_both_kinds_of_comparison(gain):
    two = lb.compare([1.0, 2.0, 3.0], [2.0, 2.5, 4.0])
    with pytest.raises(LastbitError, match=r"^gain .*: a gain must be "):
        compared().runs_needed(gain)
    if gain is not None:  # then it is the observed difference
        with pytest.raises(LastbitError, match=r"^gain .*: a gain must be "):
            two.runs_needed(gain)


def test_runs_that_are_no_number_are_refused():
    with pytest.raises(LastbitError, match="runs = '10': at least 2"):
        lb.compare([1.0, 2.0, 3.0], [2.0, 2.5, 4.0]).least_detectable_gain("10")


def test_a_lazy_frame_is_read_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compared(FRAME.lazy()).as_json() == compared().as_json()


def test_the_index_of_a_pandas_frame_is_read_where_it_has_names_and_else_noted():
    frame = pandas.DataFrame(FRAME.to_dict(as_series=False))
    expected = compared().as_json()["comparisons"]
    for indexed in (frame.set_index("seed"), frame.set_index("seed", drop=False), frame.set_index(["lr", "seed"])):
        assert compared(indexed).as_json()["comparisons"] == expected
    nameless = lb.compare(frame.set_index("seed").rename_axis(None), by="lr", metric="acc")
    assert any("index has no name, and is not read" in note for note in nameless.notes)
    assert not any("index" in note for note in lb.compare(frame[frame["lr"] < 0.5], by="lr", metric="acc").notes)
    with pytest.raises(LastbitError, match="index and another column are both called 'seed'"):
        compared(
            frame.assign(seed=frame["seed"] + 1).set_index("seed", drop=False).assign(seed=frame["seed"].to_list())
        )


def test_a_column_is_not_two_things():
    with pytest.raises(LastbitError, match="seed cannot be --by and --seed at once"):
        compared(by="seed")
    assert compared(by="seed", seed=None).by == ("seed",)
    assert compared(by=["lr", "lr"]).by == ("lr",)


@pytest.mark.parametrize("step", [100, "best"])
def test_a_step_of_a_table_without_steps_is_refused(step):
    with pytest.raises(LastbitError, match=f"--step {step}: the frame has no column of steps or epochs"):
        compared(step=step)
