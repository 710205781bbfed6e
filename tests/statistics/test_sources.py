"""Sources apart, against closed forms, statsmodels' REML and simulation."""

import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.mixed_linear_model import MixedLM

from lastbit.errors import LastbitError
from lastbit.statistics.luck import independent_errors
from lastbit.statistics.source_design import design_sources
from lastbit.statistics.sources import source_lucks, source_spreads
from lastbit.statistics.spread import OVER_NOISES
from lastbit.statistics.variance import between_groups

THREE = ("init", "order", "augmentation")


def simulated(levels, stds, rng, *, interaction=0.0, last_bit=1.0):
    """One metric for each run of a design, by the model of the module."""
    table = np.stack(list(levels.values()), axis=1)
    cells, place = np.unique(table, axis=0, return_inverse=True)
    y = 90 + last_bit * rng.standard_normal(len(table)) + interaction * rng.standard_normal(len(cells))[place.ravel()]
    for column, std in zip(table.T, stds, strict=True):
        y += std * rng.standard_normal(column.max() + 1)[column]
    return y


@pytest.fixture
def square():
    """A 5 x 5 Latin square, and its metric."""
    rows, columns = np.divmod(np.arange(25), 5)
    levels = {"init": rows, "order": columns, "augmentation": (rows + columns) % 5}
    return levels, simulated(levels, (2.0, 1.5, 3.0), np.random.default_rng(1))


def test_a_latin_square_is_analysed_by_its_closed_form(square):
    levels, y = square
    squares = {name: 5 * sum((y[at == k].mean() - y.mean()) ** 2 for k in range(5)) for name, at in levels.items()}
    error = (((y - y.mean()) ** 2).sum() - sum(squares.values())) / 12
    estimate = source_spreads(levels, y)
    assert estimate.remainder.std == pytest.approx(np.sqrt(error))
    for name, value in squares.items():
        expected = between_groups(value / 4, 4, error, 12, 5)
        got = estimate.sources[name]
        assert (got.std, got.lower, got.upper) == pytest.approx((expected.std, expected.lower, expected.upper))


def test_a_latin_square_agrees_with_reml(square):
    """In a balanced design REML is the analysis of variance where no estimate is negative."""
    levels, y = square
    frame = pd.DataFrame({**levels, "y": y, "all": 1})
    formula = {name: f"0 + C({name})" for name in THREE}
    fit = MixedLM.from_formula("y ~ 1", groups="all", re_formula="0", vc_formula=formula, data=frame).fit()
    estimate = source_spreads(levels, y)
    assert fit.scale == pytest.approx(estimate.remainder.std**2, rel=1e-3)
    named = dict(zip(fit.model.exog_vc.names, fit.vcomp, strict=True))
    assert named == pytest.approx({name: estimate.sources[name].std ** 2 for name in THREE}, rel=1e-3)


@pytest.mark.parametrize("runs", [24, 36, 54])
def test_levels_of_two_sources_meet_at_most_once(runs):
    levels = design_sources(THREE, runs)
    table = np.stack(list(levels.values()), axis=1)
    cells = np.unique(table, axis=0)
    assert table.shape == (runs, 3)
    assert len(cells) == runs - runs // 4
    for one, other in combinations(range(3), 2):
        assert len(np.unique(cells[:, [one, other]], axis=0)) == len(cells)


@pytest.mark.parametrize("true", [0.0, 1.0])
def test_intervals_cover(true):
    """With an interaction, and at a spread of exactly zero; 24 runs."""
    rng, levels, tables = np.random.default_rng(7), design_sources(THREE, 24), 800
    expected = {**dict.fromkeys(THREE, true), "interaction": true, "last bit": 1.0}
    covered = dict.fromkeys(expected, 0)
    for _ in range(tables):
        estimate = source_spreads(levels, simulated(levels, (true,) * 3, rng, interaction=true))
        components = {**estimate.sources, "interaction": estimate.interaction, "last bit": estimate.last_bit}
        for name, component in components.items():
            covered[name] += component.lower <= expected[name] <= component.upper
    # Three standard errors of 800 tables below 95 %; more is no fault of an interval that is cut at zero.
    assert min(covered.values()) >= tables * (0.95 - 3 * np.sqrt(0.95 * 0.05 / tables)), covered


def test_every_source_is_known_as_well_as_in_the_grid_at_no_more_than_one_and_a_half_times_its_runs():
    """The estimate of each variance has no larger mean squared error than that of a 6 x 6 grid for its one source."""
    rng, tables = np.random.default_rng(3), 400
    levels = design_sources(THREE, 54)
    grid = {"order": np.repeat(np.arange(6), 6)}
    errors = [
        [c.std**2 - 1 for c in source_spreads(levels, simulated(levels, (1, 1, 1), rng)).sources.values()]
        for _ in range(tables)
    ]
    of_grid = []
    for _ in range(tables):
        y = simulated(grid, (1,), rng).reshape(6, 6)
        within, between = np.mean(np.var(y, axis=1, ddof=1)), 6 * np.var(y.mean(1), ddof=1)
        of_grid.append(between_groups(between, 5, within, 30, 6).std ** 2 - 1)
    assert np.mean(np.square(errors), axis=0).max() < np.mean(np.square(of_grid))


def test_a_source_that_another_one_hides_is_not_estimated():
    levels = np.repeat(np.arange(4), 3)
    other = np.tile(np.arange(3), 4)
    estimate = source_spreads(
        {"init": levels, "same": levels, "order": other}, np.random.default_rng(0).normal(size=12)
    )
    assert estimate.sources["init"] is None
    assert estimate.sources["same"] is None
    assert estimate.sources["order"] is not None


def test_a_missing_run_is_left_out(square):
    levels, y = square
    y[7] = np.nan
    kept = np.arange(25) != 7
    assert source_spreads(levels, y) == source_spreads({k: v[kept] for k, v in levels.items()}, y[kept])


@pytest.mark.parametrize(("names", "runs"), [((), 24), (("a", "a"), 24), (THREE, 6)])
def test_a_design_that_cannot_be_is_refused(names, runs):
    with pytest.raises(LastbitError):
        design_sources(names, runs)


def test_levels_must_be_one_for_each_run():
    with pytest.raises(LastbitError, match="'init' has 2 levels for 3 runs; it needs one a run"):
        source_spreads({"init": np.arange(2)}, np.zeros(3))


def test_equal_metrics_give_exactly_nothing():
    levels = design_sources(THREE, 24)
    estimate = source_spreads(levels, np.full(24, 91.3))
    assert {(part.std, part.upper) for part in estimate.sources.values()} == {(0.0, 0.0)}
    assert (estimate.interaction.std, estimate.last_bit.std, estimate.remainder.std) == (0, 0, 0)


@pytest.mark.parametrize("runs", [12, 25])
def test_a_single_source_is_the_one_way_analysis_of_variance(runs):
    levels = design_sources(["init"], runs)
    y = simulated(levels, (2.0,), np.random.default_rng(runs))
    groups = [y[levels["init"] == level] for level in range(runs - runs // 2)]
    pairs = [group for group in groups if len(group) == 2]
    within = np.mean([np.var(pair, ddof=1) for pair in pairs])
    size = len(groups) / sum(1 / len(group) for group in groups)
    between = np.var([group.mean() for group in groups], ddof=1)
    estimate = source_spreads(levels, y)
    assert estimate.sources["init"].std == pytest.approx(np.sqrt(between - within / size))
    assert estimate.last_bit.std == pytest.approx(np.sqrt(within))
    assert estimate.interaction is None


def test_intervals_of_a_single_source_cover():
    rng, levels, tables = np.random.default_rng(11), design_sources(["init"], 24), 600
    parts = [source_spreads(levels, simulated(levels, (1.0,), rng)).sources["init"] for _ in range(tables)]
    assert sum(part.lower <= 1 <= part.upper for part in parts) >= tables * (0.95 - 3 * np.sqrt(0.95 * 0.05 / tables))


@pytest.fixture
def repeated():
    """Three seeds crossed with four, each combination run twice; and 60 examples with an effect of every part."""
    levels = {"init": np.repeat(np.arange(3), 8), "order": np.tile(np.repeat(np.arange(4), 2), 3)}
    rng = np.random.default_rng(4)
    examples = [simulated(levels, (2.0, 2.0), rng, interaction=3.0, last_bit=2.0) for _ in range(60)]
    return levels, np.stack(examples, axis=1)


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


def test_where_every_cell_is_repeated_lucks_are_that_analysis_example_by_example(repeated):
    levels, examples = repeated
    expected, got = two_way(examples.reshape(3, 4, 2, 60)), source_lucks(levels, examples)
    parts = {**got.sources, "interaction": got.interaction, "last_bit": got.last_bit, "remainder": got.remainder}
    for name, luck in parts.items():
        assert expected[name].sum() > 0
        assert luck == pytest.approx(np.sqrt(expected[name].sum()) / 60)


def test_of_one_example_all_variance_is_luck(square):
    """Its accuracy is the example itself, so that the sum over pairs of examples has one term."""
    levels, y = square
    estimate, lucks = source_spreads(levels, y), source_lucks(levels, y[:, None])
    assert lucks.sources == pytest.approx({name: part.std for name, part in estimate.sources.items()})
    assert lucks.remainder == pytest.approx(estimate.remainder.std)
    assert lucks.last_bit is lucks.interaction is None


def test_the_luck_of_the_last_bit_is_that_of_repeats():
    """Against what lastbit computes of a table: the repeats of a cell are its runs of two noises."""
    levels, rng = design_sources(["init", "order"], 24), np.random.default_rng(5)
    right = 100.0 * (rng.random((24, 300)) < rng.beta(8, 2, 300))
    rows = list(zip(*levels.values(), strict=True))
    first = [rows.index(row) for row in rows[18:]]
    table = np.stack([right[first], right[18:]])
    assert source_lucks(levels, right).last_bit ** 2 == pytest.approx(independent_errors(table, axis=OVER_NOISES))


def test_luck_goes_to_the_source_that_makes_it():
    """Example i is right with its own probability, drawn anew for each seed of the initialisation and nothing else."""
    levels, rng, examples = design_sources(["init", "order"], 36), np.random.default_rng(6), 20_000
    p = rng.beta(8, 2, examples)
    by_seed = 100.0 * (rng.random((levels["init"].max() + 1, examples)) < p)
    lucks = source_lucks(levels, by_seed[levels["init"]])
    assert lucks.sources["init"] == pytest.approx(100 * np.sqrt(np.sum(p * (1 - p))) / examples, rel=0.03)
    assert (lucks.sources["order"], lucks.last_bit) == pytest.approx((0, 0), abs=1e-6)


def test_luck_and_spread_agree_where_runs_differ_in_nothing_but_luck():
    """Runs of equal quality: over many sets of runs the variance of the accuracy is the luck, source by source."""
    levels, rng, examples = design_sources(["init", "order"], 24), np.random.default_rng(8), 200
    p = rng.beta(8, 2, examples)
    total = 100 * np.sqrt(np.sum(p * (1 - p))) / examples
    spreads, lucks = [], []
    for _ in range(150):
        right = 100.0 * (rng.random((24, examples)) < p)
        spreads.append(source_spreads(levels, right.mean(1)).last_bit.std ** 2)
        lucks.append(source_lucks(levels, right).last_bit ** 2)
    assert np.mean(lucks) == pytest.approx(total**2, rel=0.02)
    assert np.mean(spreads) == pytest.approx(total**2, rel=4 * np.std(spreads) / total**2 / np.sqrt(150))


@pytest.mark.parametrize(
    ("sources", "runs", "repeats", "message"),
    [
        (3, 10, None, "at least 11 are needed"),
        (3, 20, None, "take 18 or 22"),
        (3, 12, 0, "take 9 or 17"),
        (1, 3, None, "1 source: at least 4 are needed"),
    ],
)
def test_a_refusal_says_which_numbers_of_runs_are_designs(sources, runs, repeats, message):
    with pytest.raises(LastbitError, match=message):
        design_sources([f"s{number}" for number in range(sources)], runs, repeats=repeats)
    for number in map(int, re.findall(r"(?:least|take|or) (\d+)", message)):
        levels = design_sources([f"s{number}" for number in range(sources)], number, repeats=repeats)
        assert all(len(column) == number for column in levels.values())


def test_four_sources_repeat_more_where_a_quarter_is_no_design():
    levels = design_sources(["a", "b", "c", "d"], 36)
    assert len(set(zip(*levels.values(), strict=True))) == 25
