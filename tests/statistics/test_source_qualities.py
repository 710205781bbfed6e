"""The split of each source's spread into quality and luck, against textbook analyses, the grid's and simulation."""

import numpy as np
import pytest
from scipy import special

from lastbit.statistics.examples import Correctness
from lastbit.statistics.luck import independent_errors
from lastbit.statistics.quality import quality
from lastbit.statistics.source_design import design_sources
from lastbit.statistics.sources import source_qualities, source_spreads
from lastbit.statistics.spread import OVER_NOISES, OVER_SEEDS


def effects_of(levels):
    """For every run the level of each source, its cell and its own number."""
    table = np.stack(list(levels.values()), axis=1)
    return [*table.T, np.unique(table, axis=0, return_inverse=True)[1].ravel(), np.arange(len(table))]


@pytest.fixture
def repeated():
    """Three seeds crossed with four, each combination run twice; and 60 examples with an effect of every part."""
    levels = {"init": np.repeat(np.arange(3), 8), "order": np.tile(np.repeat(np.arange(4), 2), 3)}
    rng = np.random.default_rng(4)
    columns = effects_of(levels)
    stds = (2.0, 2.0, 3.0, 2.0)
    return levels, sum(std * rng.standard_normal((at.max() + 1, 60))[at] for std, at in zip(stds, columns, strict=True))


def two_way(y):
    """Variances by the textbook's analysis of a balanced two-way layout: y has shape (3, 4, repeats, ...)."""
    cells, repeats = y.mean(2), y.shape[2]
    pure = ((y - cells[:, :, None]) ** 2).sum((0, 1, 2)) / (12 * (repeats - 1))
    rows, columns = cells.mean(1), cells.mean(0)
    left = cells - rows[:, None] - columns[None] + cells.mean((0, 1))
    both = repeats * (left**2).sum((0, 1)) / 6
    return {
        "init": (4 * repeats * np.var(rows, axis=0, ddof=1) - both) / (4 * repeats),
        "order": (3 * repeats * np.var(columns, axis=0, ddof=1) - both) / (3 * repeats),
        "interaction": (both - pure) / repeats,
        "last_bit": pure,
        "remainder": (both - pure) / repeats + pure,
    }


def test_where_every_cell_is_repeated_spreads_are_the_two_way_analysis_of_variance(repeated):
    levels, examples = repeated
    expected, got = two_way(examples[:, 0].reshape(3, 4, 2)), source_spreads(levels, examples[:, 0])
    parts = {**got.sources, "interaction": got.interaction, "last_bit": got.last_bit, "remainder": got.remainder}
    assert expected["interaction"] > 0
    for name, part in parts.items():
        assert part.std == pytest.approx(np.sqrt(max(0, expected[name])))


def all_parts(estimates):
    """The four kinds of parts by their names."""
    return {name: getattr(estimates, name) for name in ("interaction", "last_bit", "remainder")} | dict(
        estimates.sources
    )


def test_where_every_cell_is_repeated_the_split_is_that_analysis_of_the_mean_and_of_every_example(repeated):
    """Without the cut at zero: the sum over all pairs of examples, and over those of an example with itself."""
    levels, examples = repeated
    whole, alone = two_way(examples.mean(1).reshape(3, 4, 2)), two_way(examples.reshape(3, 4, 2, 60))
    for name, part in all_parts(source_qualities(levels, examples)).items():
        assert alone[name].sum() > 0
        assert part.luck == pytest.approx(np.sqrt(alone[name].sum()) / 60)
        assert part.observed == pytest.approx(np.sqrt(max(0, whole[name])))
        assert part.variance == pytest.approx(60 / 59 * (whole[name] - alone[name].sum() / 60**2))
        assert part.std == pytest.approx(np.sqrt(max(0, part.variance)))
        assert part.lower <= part.std <= part.upper


def test_the_luck_and_the_quality_of_the_last_bit_are_those_of_repeats():
    """Against what lastbit computes of a table: the repeats of a cell are its runs of two noises."""
    levels, rng = design_sources(["init", "order"], 24), np.random.default_rng(5)
    right = 100.0 * (rng.random((24, 300)) < rng.beta(8, 2, 300))
    rows = list(zip(*levels.values(), strict=True))
    first = [rows.index(row) for row in rows[18:]]
    table = np.stack([right[first], right[18:]])
    last_bit = source_qualities(levels, right).last_bit
    assert last_bit.luck**2 == pytest.approx(independent_errors(table, axis=OVER_NOISES))
    assert_same(last_bit, quality(Correctness(np.zeros(300, int), table), table.mean(-1), axis=OVER_NOISES))


def assert_same(part, expected):
    assert vars(part) == pytest.approx(vars(expected), abs=1e-9)


@pytest.fixture
def crossed():
    """Four noises crossed with five seeds, one run of each pair, in a table and as runs with levels."""
    rng = np.random.default_rng(9)
    hardness = 8 + 6 * rng.standard_normal(400)
    better = 2 * rng.standard_normal((1, 5)) + 3 * rng.standard_normal((4, 5))
    right = 100.0 * (rng.standard_normal((4, 5, 400)) + hardness + better[..., None] > 0)
    levels = {"noise": np.repeat(np.arange(4), 5), "seed": np.tile(np.arange(5), 4)}
    return right, levels


def test_of_one_source_and_its_repeats_it_is_the_grid_within_seeds(crossed):
    right, levels = crossed
    grid = quality(Correctness(np.zeros(400, int), right), right.mean(-1), axis=OVER_NOISES)
    assert grid.shown
    assert_same(source_qualities({"seed": levels["seed"]}, right.reshape(20, 400)).last_bit, grid)


def test_of_noises_crossed_with_seeds_seed_and_remainder_are_the_grid_over_seeds(crossed):
    """A seed's main effect, and what is left within noises, add up to the variance over seeds at a fixed noise."""
    right, levels = crossed
    grid = quality(Correctness(np.zeros(400, int), right), right.mean(-1), axis=OVER_SEEDS)
    parts = source_qualities(levels, right.reshape(20, 400))
    assert parts.sources["seed"].variance + parts.remainder.variance == pytest.approx(grid.variance)
    assert parts.sources["seed"].luck ** 2 + parts.remainder.luck**2 == pytest.approx(grid.luck**2)
    assert parts.last_bit is parts.interaction is None


@pytest.mark.parametrize("spreads", [(0.0, 0.0, 0.0, 0.0), (1.5, 0.0, 1.0, 0.7)])
def test_the_quality_of_each_source_is_without_bias_and_its_interval_holds(spreads):
    """Probit networks: a run that is better by z has the accuracy Φ((8 + z) / √s) on unlimited examples.

    Of the effects a_j, c and e together z is normal, so that each part of its variance follows by quadrature.
    """
    rng, levels, rounds = np.random.default_rng(10), design_sources(["init", "order"], 24), 200
    names = ("init", "order", "interaction", "last_bit")
    columns = dict(zip(names, effects_of(levels), strict=True))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    scale = 36 + 1 + sum(np.square(spreads))

    def variance(squares):
        """Of the accuracy that is expected given effects of this variance."""
        accuracy = 100 * special.ndtr((8 + np.sqrt(squares) * nodes) / np.sqrt(scale - squares))
        return weights @ (accuracy - weights @ accuracy / weights.sum()) ** 2 / weights.sum()

    squares = dict(zip(names, np.square(spreads), strict=True))
    truth = {"init": variance(squares["init"]), "order": variance(squares["order"])}
    cell = variance(sum(squares.values()) - squares["last_bit"])
    truth["interaction"] = cell - sum(truth.values())
    truth["last_bit"] = variance(sum(squares.values())) - cell
    estimates = {name: [] for name in names}
    for _ in range(rounds):
        better = sum(
            std * rng.standard_normal(column.max() + 1)[column]
            for std, column in zip(spreads, columns.values(), strict=True)
        )
        hardness = 8 + 6 * rng.standard_normal(300)
        right = 100.0 * (rng.standard_normal((24, 300)) + hardness + better[:, None] > 0)
        for name, part in all_parts(source_qualities(levels, right)).items():
            if part is not None and name in names:
                estimates[name].append(part)
    for name, parts in estimates.items():
        variances = np.array([part.variance for part in parts])
        assert abs(variances.mean() - truth[name]) < 4 * variances.std() / np.sqrt(rounds), name
        covered = np.mean([part.lower**2 <= truth[name] + 1e-9 <= part.upper**2 for part in parts])
        assert abs(covered - 0.95) < 0.02 + 3 * np.sqrt(0.95 * 0.05 / rounds), name


def test_luck_goes_to_the_source_that_makes_it():
    """Example i is right with its own probability, drawn anew for each seed of the initialisation and nothing else."""
    levels, rng, examples = design_sources(["init", "order"], 36), np.random.default_rng(6), 20_000
    p = rng.beta(8, 2, examples)
    by_seed = 100.0 * (rng.random((levels["init"].max() + 1, examples)) < p)
    parts = source_qualities(levels, by_seed[levels["init"]])
    assert parts.sources["init"].luck == pytest.approx(100 * np.sqrt(np.sum(p * (1 - p))) / examples, rel=0.03)
    assert (parts.sources["order"].luck, parts.last_bit.luck) == pytest.approx((0, 0), abs=1e-6)


def test_equal_predictions_have_neither_luck_nor_quality():
    levels = design_sources(["init", "order", "augmentation"], 24)
    right = np.tile(100.0 * (np.arange(50) < 45), (24, 1))
    for part in all_parts(source_qualities(levels, right)).values():
        assert (part.variance, part.upper, part.luck, part.contested) == (0, 0, 0, 0)
