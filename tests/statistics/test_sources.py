"""Sources apart, against closed forms, statsmodels' REML and simulation."""

import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.mixed_linear_model import MixedLM

from lastbit.errors import LastbitError
from lastbit.statistics.source_design import design_sources
from lastbit.statistics.sources import source_spreads
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


@pytest.mark.parametrize("level", [0.0, 91.0, -1e6])
@pytest.mark.parametrize("repeats", [1, 3])
def test_what_adds_up_exactly_has_no_interaction_and_no_last_bit(level, repeats):
    """Sums of a tenth, a fifth and seven tenths round; nothing of that is a source's."""
    rows, columns = (np.tile(of, repeats) for of in np.divmod(np.arange(9), 3))
    first, second = np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.05, 0.11])
    found = source_spreads({"init": rows, "order": columns}, level + first[rows] + second[columns])
    assert found.sources["init"].std == pytest.approx(first.std(ddof=1), rel=1e-6)
    none = [found.remainder, *([found.interaction, found.last_bit] if repeats > 1 else [])]
    none.append(source_spreads({"init": rows, "order": columns}, level + first[rows]).sources["order"])
    assert [(part.std, part.lower, part.upper) for part in none] == [(0, 0, 0)] * len(none)


def test_a_small_last_bit_is_not_taken_for_rounding():
    rows, columns = (np.tile(of, 2) for of in np.divmod(np.arange(9), 3))
    noise = 1e-12 * np.random.default_rng(0).standard_normal(18)
    found = source_spreads({"init": rows, "order": columns}, 1 + 0.1 * rows + 0.3 * columns + noise)
    pairs = noise.reshape(2, 9)
    assert found.last_bit.std == pytest.approx(np.sqrt(np.mean(np.var(pairs, axis=0, ddof=1))), rel=1e-2)


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
