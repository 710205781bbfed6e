"""How often comparisons of many recipes find what is not there, and how often their intervals hold.

Tables of runs are simulated with known truths and compared as `lastbit compare` does.

    python benchmarks/many_recipes.py [--tables 4000] [--smoke] [--json FILE|-]
"""

import numpy as np

from lastbit.statistics.best import best_recipe
from lastbit.statistics.clustered import clustered_t
from lastbit.statistics.means import equivalence, paired_t, welch_t
from lastbit.statistics.multiplicity import holm
from lastbit.statistics.over_tasks import over_tasks
from lastbit.statistics.recipes import against_baseline
from lastbit.statistics.single_runs import RecipeRuns
from options import parsed, parser_of, write

RECIPES, RUNS = 20, 10


def table(generator, shifts, *, runs=RUNS, stds=1.0, seed_std=None):
    """Runs of recipes with these true means; with common seeds where these have an effect."""
    values = generator.normal(0, 1, (len(shifts), runs)) * np.reshape(stds, (-1, 1)) + np.reshape(shifts, (-1, 1))
    if seed_std is not None:
        values += generator.normal(0, seed_std, (1, runs))
    seeds = None if seed_std is None else tuple(range(runs))
    return [RecipeRuns(f"recipe {i}", row, seeds) for i, row in enumerate(values)]


def of_no_differences(generator, tables):
    """Tables in which nothing differs: 20 recipes and a baseline, and 20 pairs of recipes on data of their own."""
    found = {}
    for name, seed_std in (("Welch", None), ("pairs", 1.0)):
        rows = [against_baseline(table(generator, np.zeros(RECIPES + 1), seed_std=seed_std)) for _ in range(tables)]
        found[f"{name}, one baseline: any unadjusted p below 5 %"] = np.mean(
            [min(r.p for r in row) <= 0.05 for row in rows]
        )
        found[f"{name}, one baseline: any Holm p below 5 %"] = np.mean(
            [min(r.p_holm for r in row) <= 0.05 for row in rows]
        )
        found[f"{name}, one baseline: any simultaneous interval without 0"] = np.mean(
            [any(r.is_real for r in row) for row in rows]
        )
    draws = generator.normal(0, 1, (tables, RECIPES, 2, RUNS))
    p = np.array([[welch_t(a, b).p for a, b in row] for row in draws])
    found["20 separate pairs: any unadjusted p below 5 %"] = np.mean(p.min(1) <= 0.05)
    found["20 separate pairs: any Holm p below 5 %"] = np.mean([holm(row).min() <= 0.05 for row in p])
    return found


def of_all_findings(generator, tables):
    """How often a table has any wrong finding, and how often an equal of the best is not named beside it.

    Wrong are a difference from the baseline that is none, a clear best that is not the only one, and a best, better
    than all others, that is left out of those that may be. A recipe as good as others on top may be left out.
    """
    few, many, equal = 5, RECIPES + 1, np.zeros(RECIPES + 1)
    is_last = np.arange(many) == many - 1
    cases = {
        "all equal": (equal, 1.0),
        "two equal ones on top": (np.where(np.arange(many) >= many - 2, 9.0, 0.0), 1.0),
        "5 recipes, two equal ones on top": (np.where(np.arange(few) >= few - 2, 9.0, 0.0), 1.0),
        "5 recipes, two equal ones on top, the baseline spreads most": (
            np.where(np.arange(few) >= few - 2, 40.0, 0.0),
            np.where(np.arange(few) == 0, 10.0, 1.0),
        ),
        "half on top, equal": (np.where(np.arange(many) >= many // 2, 9.0, 0.0), 1.0),
        "one of 10 on top a hair better": (np.where(np.arange(many) > many // 2, 9.0, 0.0) + 1e-3 * is_last, 1.0),
        "all spread like runs": (generator.normal(0, 1, many), 1.0),
    }
    found = {}
    for name, (truth, stds) in cases.items():
        for kind, seed_std in (("Welch", None), ("pairs", 1.0)):
            wrong, left = [], []
            for _ in range(tables):
                rows = table(generator, truth, stds=stds, seed_std=seed_std)
                compared = against_baseline(rows)
                best = best_recipe(rows, compared)
                true = {row.name: mean for row, mean in zip(rows, truth, strict=True)}
                against = any(row.is_real and row.difference * (true[row.recipe] - truth[0]) <= 0 for row in compared)
                tops = {name for name, mean in true.items() if mean == truth.max()}
                is_said = best.rivals != (rows[0].name,)
                missing = tops - {best.recipe, *best.rivals} if is_said else set()
                clear = best.is_clear and np.sum(truth >= true[best.recipe]) > 1
                wrong.append(against or clear or missing == tops)
                left.append(len(tops) > 1 and bool(missing))
            found[f"{kind}, {name}: any wrong finding"] = np.mean(wrong)
            found[f"{kind}, {name}: an equal of the best left out"] = np.mean(left)
    return found


def of_mixtures(generator, tables):
    """The share of false findings among the findings, where some of 20 recipes do differ."""
    found = {}
    for real in (5, 10, 15):
        false, powers = [], []
        for _ in range(tables):
            rows = against_baseline(table(generator, [0.0] * (RECIPES + 1 - real) + [1.2] * real, seed_std=1.0))
            hits = np.array([row.p_bh <= 0.05 for row in rows])
            false.append(hits[: RECIPES - real].sum() / max(1, hits.sum()))
            powers.append(hits[RECIPES - real :].mean())
        found[f"{real} of 20 differ: false discovery rate"] = np.mean(false)
        found[f"{real} of 20 differ: of these found"] = np.mean(powers)
    return found


def of_simultaneous_intervals(generator, tables):
    """Whether all 20 intervals hold the truth, with spreads and numbers of runs of all kinds."""
    shifts, stds = np.linspace(-1, 1, RECIPES + 1), np.geomspace(0.3, 3, RECIPES + 1)
    cases = {
        "Welch, 3 runs": {"runs": 3},
        "Welch, 10 runs": {"runs": 10},
        "Welch, 5 runs, the baseline spreads least": {"runs": 5, "stds": stds},
        "Welch, 5 runs, the baseline spreads most": {"runs": 5, "stds": stds[::-1]},
        "pairs, 3 seeds": {"runs": 3, "seed_std": 1.0},
        "pairs, 10 seeds": {"runs": 10, "seed_std": 1.0},
        "pairs, 5 seeds, the baseline spreads least": {"runs": 5, "stds": stds, "seed_std": 1.0},
        "pairs, 5 seeds, the baseline spreads most": {"runs": 5, "stds": stds[::-1], "seed_std": 1.0},
    }
    found = {}
    for name, settings in cases.items():
        hits = []
        for _ in range(tables):
            rows = against_baseline(table(generator, shifts, **settings))
            true = shifts[1:] - shifts[0]
            hits.append(all(row.simultaneous[0] <= d <= row.simultaneous[1] for row, d in zip(rows, true, strict=True)))
        found[f"{name}: all intervals hold"] = np.mean(hits)
    return found


def of_equivalence(generator, tables, *, margin=0.5):
    """How often a difference just as large as the margin is called the same."""
    found = {}
    for runs in (3, 5, 10):
        a, b = generator.normal(0, 0.3, (2, tables, runs))
        welch = [equivalence(welch_t(x + margin, y), margin).p <= 0.05 for x, y in zip(a, b, strict=True)]
        pairs = [equivalence(paired_t(x + margin, y), margin).p <= 0.05 for x, y in zip(a, b, strict=True)]
        found |= {f"Welch, {runs} runs: declared": np.mean(welch), f"pairs, {runs} runs: declared": np.mean(pairs)}
    return found


def of_groups(generator, tables):
    """Examples of one document are right together: intervals of their mean difference, clustered and plain."""
    found = {}
    for name, sizes in (
        ("30 groups of 60", np.full(30, 60)),
        ("30 groups of 8 to 300", np.geomspace(8, 300, 30).astype(int)),
    ):
        # Such an effect of the group makes plain intervals about threefold too short.
        effect = np.sqrt(9.5 / (np.sum(sizes**2) / sizes.sum()))
        index, hits, plain, ratio = np.repeat(np.arange(len(sizes)), sizes), [], [], []
        for _ in range(tables):
            values = generator.normal(0, effect, len(sizes))[index] + generator.normal(0, 1, len(index))
            test = clustered_t(values, index)
            error = values.std(ddof=1) / np.sqrt(len(values))
            hits.append(test.lower <= 0 <= test.upper)
            plain.append(abs(values.mean()) <= 1.96 * error)
            ratio.append(test.standard_error / error)
        found[f"{name}: clustered interval holds"] = np.mean(hits)
        found[f"{name}: plain interval holds"] = np.mean(plain)
        found[f"{name}: clustered error / plain error, median"] = np.median(ratio)
    return found


def of_tasks(generator, tables):
    """Tasks as a random effect: intervals of the mean over tasks like these, and those that leave the tasks out."""
    found = {}
    for tasks, tau in ((2, 1.0), (3, 0.0), (3, 1.0), (8, 0.3), (8, 1.0)):
        hits, fixed = [], []
        errors = np.geomspace(0.2, 1, tasks)
        for _ in range(tables):
            differences = 0.5 + generator.normal(0, tau, tasks) + generator.normal(0, 1, tasks) * errors
            test = over_tasks(differences, errors).test
            hits.append(test.lower <= 0.5 <= test.upper)
            fixed.append(abs(differences.mean() - 0.5) <= 1.96 * np.sqrt(np.sum(errors**2)) / tasks)
        found[f"{tasks} tasks, spread between them {tau}: interval holds"] = np.mean(hits)
        found[f"{tasks} tasks, spread between them {tau}: without the tasks' spread"] = np.mean(fixed)
    return found


def of_the_best(generator, tables):
    """The best of 20: what it looks better by than it is, before and after the correction."""
    found = {}
    equal, wide = np.zeros(RECIPES), generator.normal(0, 1, RECIPES)
    far = np.append(np.zeros(RECIPES - 1), 3.0)
    truths = {"all equal": equal, "spread like runs": wide, "one far above the others": far}
    cases = {(name, None): truth for name, truth in truths.items()}
    cases |= {(f"common seeds, {name}", 1.0): truth for name, truth in truths.items()}
    for (name, seed_std), truth in cases.items():
        hits, naive, corrected = [], [], []
        for _ in range(tables):
            rows = table(generator, truth, seed_std=seed_std)
            best = best_recipe(rows, against_baseline(rows)).winner
            true = truth[best.index]
            hits.append(best.lower <= true <= best.upper)
            naive.append(best.mean - true)
            corrected.append(best.corrected - true)
        found[f"{name}: interval holds"] = np.mean(hits)
        found[f"{name}: overstated by (standard deviations of a run)"] = np.mean(naive)
        found[f"{name}: overstated by after the correction"] = np.mean(corrected)
        found[f"{name}: error of the mean, root of its square"] = np.sqrt(np.mean(np.square(naive)))
        found[f"{name}: error of the corrected mean, likewise"] = np.sqrt(np.mean(np.square(corrected)))
    return found


def main():
    """Print the shares."""
    parser = parser_of(__doc__)
    parser.add_argument("--tables", type=int, default=4000)
    options = parsed(parser, tables=6)
    generator = np.random.default_rng(20261130)
    fewer = max(1, options.tables // 4)
    found = {
        "nothing differs": of_no_differences(generator, options.tables),
        "all findings": of_all_findings(generator, max(1, options.tables // 4)),
        "some differ": of_mixtures(generator, fewer),
        "simultaneous intervals": of_simultaneous_intervals(generator, max(1, options.tables // 2)),
        "equivalence at the margin": of_equivalence(generator, options.tables),
        "examples in groups": of_groups(generator, options.tables),
        "tasks": of_tasks(generator, options.tables),
        "the best of 20": of_the_best(generator, fewer),
    }
    found = {case: {name: float(value) for name, value in shares.items()} for case, shares in found.items()}
    write(found, options.json)
    if options.json != "-":
        for case, shares in found.items():
            print(case)
            for name, share in shares.items():
                print(f"  {name:70s} {share:7.3f}")


if __name__ == "__main__":
    main()
