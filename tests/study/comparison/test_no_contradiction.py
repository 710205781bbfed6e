"""Over random tables of all kinds, no sentence, flag, interval or adjusted p of a comparison contradicts another."""

import re

import numpy as np
import pytest

from lastbit.report.comparison.recipes_stored import as_recipes
from lastbit.report.comparison.recipes_tables import BETTER, WORSE, differences_table, kind_of
from lastbit.statistics import multiplicity, winner
from lastbit.study.comparison.several import compare_sides
from lastbit.study.comparison.side import side_of_numbers

TABLES = 300


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(multiplicity, "_DRAWS", 1000)
    monkeypatch.setattr(multiplicity, "_FEWEST", 20)
    monkeypatch.setattr(winner, "_STEPS", 20)  # the correction of the best decides nothing
    multiplicity._equicorrelated.cache_clear()
    yield
    multiplicity._equicorrelated.cache_clear()


def random_table(generator):
    """Recipes with any number of runs, common seeds, other ones or none, of like or unlike spread; some are equal."""
    recipes, runs = int(generator.integers(2, 8)), int(generator.integers(2, 8))
    seeds = generator.choice(["common", "some", "other", "none"])
    gaps, unlike = generator.choice([0.0, 1.0, 3.0, 8.0]), generator.random() < 0.3
    effects, sides = generator.normal(0, generator.choice([0.0, 1.0, 4.0]), 100), []
    for at in range(recipes):
        count = runs if seeds == "common" else int(generator.integers(1, 9))
        first = {"common": 0, "none": 0, "some": int(generator.integers(0, 4)), "other": 10 * at}[seeds]
        std = np.exp(generator.normal(0, 1.5)) if unlike else 1.0
        mean, digits = gaps * generator.normal(), int(generator.choice([1, 6]))
        values = {
            seed: round(50 + mean + effects[seed] + std * generator.normal(), digits)
            for seed in range(first, first + count)
        }
        sides.append(side_of_numbers(list(values.values()) if seeds == "none" else values, f"r{at}"))
    return sides


def named(pattern, verdict):
    found = re.search(pattern, verdict)
    return None if found is None else found.groups()


def check_rows(content):
    tests = sum(row["interval_simultaneous"] is not None for row in content["comparisons"])
    for row in content["comparisons"]:
        ends = row["interval_simultaneous"]
        assert row["real"] == (ends is not None and not ends[0] <= 0 <= ends[1])
        if ends is None:
            assert row["p_simultaneous"] is None
            continue
        assert row["real"] == (row["p_simultaneous"] < 0.05)
        assert row["p"] <= row["p_simultaneous"]
        assert min(1.0, tests * row["p"]) * (1 + 1e-9) >= row["p_simultaneous"]  # Bonferroni is never better
        assert ends[0] <= row["interval"][0] + 1e-9
        assert row["interval"][1] <= ends[1] + 1e-9


def check_sentences(content):
    rows = {row["recipe"]: row for row in content["comparisons"]}
    kinds = {name: kind_of(row, content) for name, row in rows.items()}
    verdict, words = content["verdict"], {row[0]: row[-2] for row in differences_table(content).rows}
    for name, kind in kinds.items():
        assert (words[name] in ("better", "worse")) == rows[name]["real"] == (kind in (BETTER, WORSE))
    if verdict.startswith("None of"):
        assert not any(row["real"] for row in rows.values())
    if real := named(r"^(\d+) of \d+ recipes", verdict):
        assert int(real[0]) == sum(row["real"] for row in rows.values())
    for kind in (BETTER, WORSE):
        listed = named(rf"{kind}: (.*?)(?:; worse|\.$|\. )", verdict)
        if listed and "more" not in listed[0]:
            assert set(re.findall(r"r\d", listed[0])) == {name for name, of in kinds.items() if of == kind}


def check_best(content):
    rows = {row["recipe"]: row for row in content["comparisons"] if row["test"] is not None}
    verdict, best, base = content["verdict"], content["best"], content["baseline"]
    if best is None:
        assert "best mean" not in verdict
        return None
    sign = -1 if content["lower_is_better"] else 1
    ahead = {name: sign * row["difference"] for name, row in rows.items()} | {base: 0.0}
    assert ahead[best["recipe"]] == max(ahead.values())
    if len(content["recipes"]) > 2:
        assert f"{best['recipe']} has the best mean" in verdict
        assert best["clear"] == ("stands clear of all others" in verdict)
        untold = named(r"best mean .*?, but (.*?) may be the best as well[.(]", verdict)
        untold = untold or named(
            r"best mean .*?, but is not distinguishable from the baseline, (r\d), so that", verdict
        )
        assert best["clear"] == (untold is None)
        assert untold is None or re.findall(r"r\d", untold[0]) == best["not_distinguishable_from"][:5]
    rivals = best["not_distinguishable_from"]
    if best["recipe"] == base:
        assert set(rivals) == {name for name, row in rows.items() if not row["real"]}
    else:
        is_real = kind_of(rows[best["recipe"]], content) == BETTER
        assert (base in rivals) == (not is_real)
        assert is_real or rivals == [base]
    assert best["clear"] == (rivals == [])
    return best["clear"]


def test_nothing_that_is_said_of_a_table_contradicts_anything_else():
    generator, clear, real = np.random.default_rng(20), [], []
    for at in range(TABLES):
        sides = random_table(generator)
        options = {"lower_is_better": bool(at % 3 == 0), "within": 1.0 if at % 4 == 0 else None}
        found = compare_sides(sides, metric="acc", baseline=f"r{at % len(sides)}", **options)
        content = as_recipes(found.as_json())
        check_rows(content)
        check_sentences(content)
        clear.append(check_best(content))
        real.append(len(found.real))
    # All that is to be told apart has occurred.
    assert min(clear.count(True), clear.count(False), clear.count(None)) > 10
    assert min(real.count(0), sum(count > 1 for count in real)) > 30
