"""The accuracies that the paper prints are typed right: they give the STDs printed beside them."""

import numpy as np
import pytest

from lastbit.paper.catalogue import find_item
from lastbit.paper.items.published_spreads import PublishedTable


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
