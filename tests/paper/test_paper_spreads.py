"""Tables of seeds and ks: every claim holds of a result that is as the paper says, and fails of one that is not."""

import pytest
from mutations import grown, outcomes, set_share, set_spread

from lastbit.paper.items.accuracy_tables import TABLE8
from lastbit.paper.items.table1 import TABLE1


def as_published(result, key):
    """A result at the paper's scale with the paper's spreads."""
    study = grown(result[key])
    set_spread(study, "noise", 0.19, [0.13, 0.23])
    set_spread(study, "seed", 0.2, [0.14, 0.24])
    set_share(study, 0.94, [0.7, 1.0])
    study["churn"] = {"noise": {"mean": 5.0}, "seed": {"mean": 6.0}}
    study["least_detectable_gain"] = {"6": 0.5}
    return result | {"scale": "paper"}


@pytest.fixture
def table1(smoke):
    result = as_published(smoke("table1"), "float32")
    set_spread(grown(result["float64"]), "noise", 0.18, [0.12, 0.22])
    return result


@pytest.fixture
def table8(smoke):
    return as_published(smoke("table8"), "study")


def change(result, path, value):
    *way, last = path
    for key in way:
        result = result[key]
    result[last] = value


def test_what_the_paper_found_holds(table1, table8):
    assert outcomes(TABLE1, table1) == [True] * 11
    assert outcomes(TABLE8, table8) == [True] * 4


@pytest.mark.parametrize(
    ("path", "value", "index", "outcome"),
    [
        (["float32", "trials", 1, "test_accuracy"], 19.0, 0, False),
        (["float32", "trials", 1, "test_accuracy"], None, 0, False),
        (["float32", "std", "noise", "per_seed", "2", "std"], 0.0, 1, False),
        (["float32", "std", "noise_over_seed"], {"value": 0.3, "lower": 0.1, "upper": 0.49}, 2, False),
        (["float32", "std", "noise_over_seed", "lower"], 0.49, 2, None),
        (["float32", "std", "noise_over_seed"], None, 2, None),
        (["float32", "std", "noise", "pooled", "lower"], 0.2, 3, False),
        (["float32", "std", "seed", "pooled", "upper"], 0.16, 4, False),
        (["float32", "churn", "noise", "mean"], 2.9, 5, False),
        (["float32", "churn", "noise"], None, 5, None),
        (["float32", "least_detectable_gain", "6"], 0.2, 6, False),
        (["float32", "least_detectable_gain", "6"], 0.31, 6, None),
        (["float32", "least_detectable_gain"], None, 6, None),
        (["perturbation", "float32"], 0.0, 7, False),
        (["perturbation", "float32"], 2.0**-22, 7, False),
        (["perturbation", "float64"], 2.0**-24, 8, False),
        (["float32", "gradient_fluctuation"], 0.9, 9, False),
        (["float32", "gradient_fluctuation"], None, 9, None),
        (["float64", "std", "noise", "pooled", "std"], 0.01, 10, False),
        (["float64", "std", "noise", "pooled", "dof"], 2.0, 10, None),
        (["float64", "std", "noise", "pooled"], None, 10, None),
    ],
)
def test_a_wrong_table_1_fails_in_one_claim_and_missing_numbers_decide_nothing(table1, path, value, index, outcome):
    change(table1, path, value)
    assert [i for i, held in enumerate(outcomes(TABLE1, table1)) if held is not True] == [index]
    assert outcomes(TABLE1, table1)[index] is outcome


def test_a_short_training_whose_last_bit_has_not_grown_decides_nothing(smoke):
    result = smoke("table8")
    assert outcomes(TABLE8, result) == [True, None, None, None]
    assert "came to" in TABLE8.claims(result)[1]["reason"]
    # The same spreads after weights have parted do decide, and so they do at the paper's settings.
    assert outcomes(TABLE8, result | {"scale": "paper"})[1:] == [False, False, False]
    grown(result["study"])
    assert outcomes(TABLE8, result) == [True, False, False, None]


def test_the_smoke_scale_measures_one_rounding_and_what_batches_do(smoke):
    result = smoke("table1")
    assert outcomes(TABLE1, result)[7:10] == [True] * 3
    assert 2.0**-24 < result["perturbation"]["float32"] <= 2.0**-23
    assert 2.0**-53 < result["perturbation"]["float64"] <= 2.0**-52


def test_drawings_name_what_was_found(smoke):
    accuracies, *_, errors = TABLE1.draw(smoke("table1"))
    assert accuracies.columns == ["noise", "seed 1", "seed 2", "STD"]
    assert [row[0] for row in accuracies.rows] == ["k=1", "k=3", "k=5", "STD"]
    assert all(len(row) == len(accuracies.columns) for row in accuracies.rows)
    assert [row[0] for row in errors.rows] == ["last bit, float32", "last bit, float64", "batch selection"]
