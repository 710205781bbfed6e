"""Tables 4 and 5: bits that agree, and what a bit that does not would do."""

import pytest
from mutations import outcomes

from lastbit.paper.items.repeats import TABLE4, TABLE5


def set_digest(result, k, digest, *, trials=(1, 2)):
    for run in result["runs"]:
        if run["k"] == k and run["trial"] in trials:
            run["digest"] = digest


def digest_of(result, k):
    return next(run["digest"] for run in result["runs"] if run["k"] == k)


def test_trainings_repeat_bit_for_bit(smoke):
    assert outcomes(TABLE4, smoke("table4")) == [True, True]
    (table,) = TABLE4.draw(smoke("table4"))
    assert table.title == "The same training, made 2 times, gives the same bits"
    assert table.rows[0][1:] == table.rows[1][1:]


def test_another_accuracy_or_digest_fails(smoke):
    result = smoke("table4")
    result["trials"][1]["digest"] = "0" * 64
    assert outcomes(TABLE4, result) == [True, False]
    result["trials"][1]["test_accuracy"][0] += 0.2
    assert outcomes(TABLE4, result) == [False, False]
    (table,) = TABLE4.draw(result)
    assert table.title.endswith("gives 2 different sets of bits")


def test_a_single_trial_shows_nothing(smoke):
    result = smoke("table4")
    del result["trials"][1:]
    assert outcomes(TABLE4, result) == [False, False]


def test_only_powers_of_two_keep_the_bits(smoke):
    result = smoke("table5")
    assert outcomes(TABLE5, result) == [True] * 4
    (table,) = TABLE5.draw(result)
    assert table.title == "24 runs with k = 1 to 12 end in 6 different sets of bits"
    assert [row[0] for row in table.rows] == [f"k = {k}" for k in range(1, 13)]


@pytest.mark.parametrize(
    ("k", "trials", "failing", "said"),
    [
        (7, [2], [0, 3], "differ: k = 7"),  # a repeat that does not repeat
        (4, [1, 2], [1, 3], "differ: k = 4"),  # a power of two that rounds
        (10, [1, 2], [2, 3], "differ: k = 5 and 10"),
    ],
)
def test_a_digest_of_its_own_fails(k, trials, failing, said, smoke):
    result = smoke("table5")
    set_digest(result, k, "0" * 64, trials=trials)
    assert [i for i, held in enumerate(outcomes(TABLE5, result)) if not held] == failing
    assert TABLE5.claims(result)[failing[0]]["measured"] == said


def test_noise_that_changes_nothing_fails(smoke):
    result = smoke("table5")
    set_digest(result, 9, digest_of(result, 11))
    assert outcomes(TABLE5, result) == [True, True, True, False]


def test_copies_are_runs_of_their_own(smoke):
    # Were the second trial only the first read again, a repeat could not fail.
    result = smoke("table5")
    assert [(run["k"], run["trial"]) for run in result["runs"]] == [(k, t) for t in (1, 2) for k in range(1, 13)]
