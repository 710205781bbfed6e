"""The accuracies that the paper prints are typed right: they give the STDs printed beside them."""

from dataclasses import replace

import numpy as np
import pytest

from lastbit.paper.catalogue import find_item
from lastbit.paper.item import Work
from lastbit.paper.items.accuracy_studies import SMOKE_CNN, PublishedTable, complete_study, training
from lastbit.paper.items.spread_claims import above, ratio_interval, within


def printed(name):
    published = find_item(name).published
    rows = published.get("test_accuracy_by_seed") or published["ResNet-56, CIFAR-10"]["test_accuracy_by_seed"]
    return published, np.array([*rows.values()])


@pytest.mark.parametrize("name", ["table1", "table6", "table7", "table8"])
def test_the_printed_std_over_seeds_is_that_of_its_row(name):
    published, rows = printed(name)
    assert rows.std(1) == pytest.approx(published["std_over_seeds_by_k"], abs=0.011)


@pytest.mark.parametrize("name", ["table1", "table6", "table8"])
def test_the_printed_std_over_k_is_that_of_its_column(name):
    published, rows = printed(name)
    assert rows.std(0) == pytest.approx(published["std_over_k_by_seed"], abs=0.014)


def test_table_7s_printed_stds_over_k_do_not_follow_from_its_accuracies():
    published, rows = printed("table7")
    assert np.abs(rows.std(0) - published["std_over_k_by_seed"]).max() > 0.2


def test_pooled_spreads_are_those_of_an_analysis_of_variance():
    table = PublishedTable(((1.0, 2.0, 4.0), (3.0, 2.0, 7.0)), ks=(1, 3))
    assert table.over_k.std == pytest.approx(np.sqrt(np.mean([2.0, 0.0, 4.5])))
    assert table.over_seeds.std == pytest.approx(np.sqrt((7 / 3 + 7.0) / 2))
    assert table.share == pytest.approx(table.over_k.std / table.over_seeds.std)
    assert table.mean == pytest.approx(19 / 6)


TINY = (*SMOKE_CNN, "epochs=1", "data.train=128", "data.test=50", "measure.fluctuation_epochs=1")


def stored(work):
    return sorted(path.name for path in work.studies.glob("*/trials/*"))


def test_items_that_ask_for_the_same_training_share_its_trials(tmp_path):
    one, other = (Work(tmp_path / name, shared=tmp_path / "shared") for name in ("table1", "table5"))
    complete_study(training("demo", TINY, ks=(1, 3), seeds=(1,)), one, controlled=False)
    first = stored(one)
    complete_study(training("demo", TINY, ks=(1, 3, 5), seeds=(1,)), other, controlled=False)
    assert len(first) == 2
    assert set(first) < set(stored(other))
    assert len(stored(other)) == 3


def test_another_copy_and_other_settings_are_trained_anew(tmp_path):
    work = Work(tmp_path)
    asked = training("demo", TINY, ks=(1,), seeds=(1,))
    complete_study(asked, work, controlled=False)
    complete_study(asked, work, copy=1, controlled=False)
    complete_study(training("demo", (*TINY, "optimizer.lr=0.05"), ks=(1,), seeds=(1,)), work, controlled=False)
    names = sorted(path.name for path in work.studies.iterdir())
    assert len(names) == 3
    assert sum(name.endswith("-copy1") for name in names) == 1


def test_without_a_shared_place_an_item_keeps_its_own(tmp_path):
    work = Work(tmp_path / "table1")
    assert work.studies == tmp_path / "table1" / "studies"
    assert replace(work, shared=tmp_path).studies == tmp_path


def test_an_interval_decides_where_it_lies_on_one_side():
    assert [above(interval, 0.5) for interval in ([0.6, 1], [0.1, 0.4], [0.4, 0.6], None)] == [True, False, None, None]
    assert within([0.6, 1.5], 0.5, 2) is True
    assert within([0.1, 0.4], 0.5, 2) is within([2.1, 9], 0.5, 2) is False
    assert within([0.4, 1], 0.5, 2) is within([0.6, 3], 0.5, 2) is within(None, 0.5, 2) is None


def test_the_ratio_of_two_spreads_covers_the_truth_as_often_as_it_says():
    import numpy as np

    generator = np.random.default_rng(0)
    ones, others = (generator.normal(size=(4000, n)).std(1, ddof=1) for n in (4, 7))
    low, high = np.array([ratio_interval(one / other, 3, 6) for one, other in zip(ones, others, strict=True)]).T
    assert 0.94 < np.mean((low < 1) & (high > 1)) < 0.96
