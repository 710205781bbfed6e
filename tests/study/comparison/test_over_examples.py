"""What is said of a difference over other examples, and of one within a margin, is read from the interval shown."""

import re

import numpy as np
import polars as pl
import pytest
from scipy import stats

from lastbit.report.comparison import comparison_figures, differences_table, examples_tables, p_values_table
from lastbit.report.comparison.recipes_stored import as_recipes
from lastbit.statistics.recipes import against_baseline
from lastbit.statistics.single_runs import RecipeRuns
from lastbit.study.comparison.compare import compare
from lastbit.study.comparison.over_examples import over_examples, sentences_of


def frame_of(values, *, per_group=0):
    """Rows as `RunTable.examples` has them, of the values of each recipe's examples, NaN where there is none."""
    return pl.DataFrame(
        [
            {
                "recipe": name,
                "example": f"e{at}",
                "cluster": f"g{at // per_group}" if per_group else None,
                "value": float(value),
            }
            for name, column in values.items()
            for at, value in enumerate(column)
            if not np.isnan(value)
        ],
        schema_overrides={"cluster": pl.String},
    )


def random_values(generator, recipes, examples):
    base = generator.normal(0, 1, examples)
    shifts = generator.choice([0.0, 0.3, 0.4], recipes)
    return {f"r{at}": base + shifts[at] + generator.normal(0, 0.6, examples) for at in range(recipes)}


def ends(text):
    return [float(end) for end in re.findall(r"\((-?[\d.]+) to (-?[\d.]+)\)", text)[0]]


@pytest.mark.parametrize("per_group", [0, 4])
def test_decision_interval_p_and_sentence_are_one(per_group):
    generator, against_holm = np.random.default_rng(1), 0
    for _ in range(40):
        values = random_values(generator, int(generator.integers(2, 7)), 24 if per_group == 0 else 60)
        over = over_examples(frame_of(values, per_group=per_group), list(values), "r0")
        (said,) = sentences_of(over, "r0", 6)
        for name, of in over.items():
            low, high = of.row.simultaneous
            assert of.row.is_real == (not low <= 0 <= high) == (of.row.p_simultaneous < 0.05)
            assert (f"{name} +" in said or f"{name} -" in said) == of.row.is_real
            assert low <= of.row.test.lower + 1e-9
            against_holm += (of.row.p_holm <= 0.05) != of.row.is_real
    assert against_holm > 0  # Holm's p, which decided before, would have said otherwise


def test_intervals_of_examples_in_groups_are_bonferronis():
    values = random_values(np.random.default_rng(2), 4, 40)
    over = over_examples(frame_of(values, per_group=4), list(values), "r0", significance=0.025)
    for name, of in over.items():
        means = (values[name] - values["r0"]).reshape(10, 4).mean(1)
        expected = stats.ttest_1samp(means, 0)
        assert of.row.simultaneous == pytest.approx(tuple(expected.confidence_interval(1 - 0.025 / 3)))
        assert of.row.p_simultaneous == pytest.approx(min(1, 6 * expected.pvalue))


def test_intervals_on_common_examples_are_dunnetts_and_of_unlike_examples_bonferronis():
    generator = np.random.default_rng(3)
    values = {f"r{at}": generator.normal(0, 1, 300) for at in range(6)}
    own = [values[name] - values["r0"] for name in list(values)[1:]]
    over = over_examples(frame_of(values), list(values), "r0")
    # With differences that correlate by a half and many examples, as Dunnett's of many runs.
    groups = [generator.normal(0, 1, 300) for _ in range(6)]
    dunnett = stats.dunnett(*groups[1:], control=groups[0], random_state=np.random.default_rng(0))
    low, high = dunnett.confidence_interval(0.95)
    reach = np.mean((high - low) / 2) / np.sqrt(2 * np.mean([group.var(ddof=1) for group in groups]) / 300)
    for of, difference in zip(over.values(), own, strict=True):
        error = stats.sem(difference)
        assert (of.row.simultaneous[1] - of.row.difference) / error == pytest.approx(reach, rel=0.02)
    values["r1"][:5] = np.nan
    for of in over_examples(frame_of(values), list(values), "r0").values():
        reach = stats.t.ppf(1 - 0.05 / 10, of.examples - 1) * of.row.test.standard_error
        assert of.row.simultaneous[1] - of.row.difference == pytest.approx(reach)


def test_table_chart_and_sentence_show_the_interval_that_decides():
    values = random_values(np.random.default_rng(5), 5, 60)
    values["r1"] += 1.0
    rows = [
        {"recipe": name, "seed": 1, "example": at, "score": float(value)}
        for name, column in values.items()
        for at, value in enumerate(column)
    ]
    comparison = compare(pl.DataFrame(rows), by="recipe", metric="score", seed="seed", example="example")
    content = as_recipes(comparison.as_json())
    over = {row["recipe"]: row["over_examples"] for row in content["comparisons"]}
    assert {row["real"] for row in over.values()} == {True, False}
    (figure,) = comparison_figures(content)
    spans = {span["group"]: [span["low"], span["high"]] for span in figure.chart.data["spans"] if span["width"] == 2}
    assert spans == {name: row["interval_simultaneous"] for name, row in over.items()}
    assert {row["group"] for row in figure.rows if row["kind"] != "not distinguishable"} == {
        name for name, row in over.items() if row["real"]
    }
    (table,) = examples_tables(content)
    assert table.columns[3] == "all together"
    for row in table.rows:
        shown = [float(end) for end in row[3].split(" to ")]
        assert shown == pytest.approx(over[row[0]]["interval_simultaneous"], abs=0.51 * 10.0 ** -content["decimals"])
        assert (f"{row[0]} {row[1]} ({row[3]})" in comparison.verdict) == over[row[0]]["real"]


def test_what_is_the_same_within_a_margin_has_its_interval_inside_and_nothing_else_has():
    generator, too_wide = np.random.default_rng(4), 0
    for _ in range(60):
        recipes = [
            RecipeRuns(
                f"r{at}", generator.normal(at % 2 * 0.1, 0.3, 6), tuple(range(6)) if generator.random() < 0.5 else ()
            )
            for at in range(int(generator.integers(2, 6)))
        ]
        for row in against_baseline(recipes, within=0.5):
            low, high = row.simultaneous
            assert row.is_same == (max(-low, high) < 0.5) == (row.p_same < 0.05)
            too_wide += row.same.p <= 0.05 and not row.is_same
    assert too_wide > 0  # the two one-sided tests by themselves would have said the same


def test_sentence_table_and_chart_agree_on_what_is_the_same():
    generator = np.random.default_rng(6)
    recipes = {f"r{at}": 90 + generator.normal(0, 0.3, 6) for at in range(4)}
    for within in (0.4, 0.5, 0.6, 0.7, 0.9):
        content = as_recipes(compare(*(list(of) for of in recipes.values()), within=within).as_json())
        inside = [
            row["recipe"]
            for row in content["comparisons"]
            if -within < row["interval_simultaneous"][0] and row["interval_simultaneous"][1] < within
        ]
        words = {row[0]: row[-2] for row in differences_table(content).rows}
        assert [name for name in words if words[name] == "the same"] == inside
        last = {row[0]: row[-1] for row in p_values_table(content).rows}
        assert [name for name in last if last[name] == "<0.001" or float(last[name]) < 0.05] == inside
        said = re.search(r"([^.]*) (?:is|are) the same as", content["verdict"])
        assert (re.findall(r"\w+", said[1].replace(" and ", " ")) if said else []) == inside


@pytest.mark.parametrize(("a", "b", "paired"), [([50.0, 50.0], [50.0, 50.0], None), ([50.1, 51.1], [50.0, 51.0], True)])
def test_runs_without_spread_are_not_the_same_within_any_margin_and_no_field_says_so(a, b, paired):
    comparison = compare(a, b, paired=paired, within=0.5)
    content = as_recipes(comparison.as_json())
    (row,) = content["comparisons"]
    assert (row["interval"], row["interval_simultaneous"], row["same"]) == (None, None, None)
    assert "None is shown to be the same as a within 0.5." in comparison.verdict
    assert [words[-2] for words in differences_table(content).rows] == ["–"]


def rows_of(name, seed, values, clusters=None, examples=None):
    return [
        {
            "recipe": name,
            "seed": seed,
            "doc": clusters[at] if clusters else None,
            "sentence": examples[at] if examples else at,
            "score": float(value),
        }
        for at, value in enumerate(values)
    ]


def compared(content, **options):
    return compare(pl.DataFrame(content), by="recipe", metric="score", seed="seed", example="sentence", **options)


def test_equal_scores_of_one_run_and_of_three_do_not_differ():
    scores = np.random.default_rng(0).choice([0.1, 0.7, 1 / 3], 60)
    content = [*rows_of("a", 1, scores), *(row for seed in (1, 2, 3) for row in rows_of("b", seed, scores))]
    found = compared(content)
    of = found.examples[None]["b"]
    assert (of.row.difference, of.row.p, of.row.simultaneous, of.row.is_real) == (0.0, 1.0, None, False)
    assert "no recipe differs from a" in found.verdict


def test_the_same_difference_of_every_example_has_no_interval_and_the_p_of_signs():
    found = compared([*rows_of("a", 1, np.full(8, 0.3)), *rows_of("b", 1, np.full(8, 0.4))]).examples[None]["b"]
    assert (found.row.simultaneous, found.row.is_real) == (None, False)
    assert found.row.p == stats.binomtest(8, 8).pvalue


def test_examples_numbered_inside_each_group_are_not_taken_for_one_another():
    generator, documents = np.random.default_rng(4), 12
    clusters = [f"d{at}" for at in range(documents) for _ in range(5)]
    sentences = [at % 5 for at in range(5 * documents)]
    old, new = generator.normal(0, 1, (2, 5 * documents))
    content = [*rows_of("old", 1, old, clusters, sentences), *rows_of("new", 1, new, clusters, sentences)]
    found = compared(content, cluster="doc").examples[None]["new"]
    assert (found.examples, found.groups) == (5 * documents, documents)
    expected = stats.ttest_1samp((new - old).reshape(documents, 5).mean(1), 0)
    assert found.row.p == pytest.approx(expected.pvalue)
    assert (found.row.test.lower, found.row.test.upper) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_recipes_that_share_too_few_examples_or_groups_are_named():
    clusters = ["d1"] * 3 + ["d2"] * 3
    content = [*rows_of("old", 1, range(6), clusters), *rows_of("new", 1, range(2, 8), clusters)]
    content += rows_of("one", 1, range(3), clusters[:3]) + rows_of("other", 1, range(6), ["x"] * 6)
    notes = compared(content, cluster="doc").notes
    named = "one (one common group) and other (no common example) are not compared with old"
    assert any(note.startswith(f"Over examples, {named}: ") for note in notes)
    by_task = [row | {"task": task} for row in content for task in ("math", "code")]
    assert any(
        note.startswith(f"code: Over examples, {named}") for note in compared(by_task, cluster="doc", task="task").notes
    )
