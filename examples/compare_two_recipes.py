import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Is the difference between two recipes real?")


@app.cell
def _():
    import tempfile
    from pathlib import Path

    import altair as alt
    import marimo as mo
    import numpy as np
    import polars as pl
    import polars.selectors as cs
    import torch
    from scipy import stats

    import lastbit as lb
    from lastbit.training.catalogue import load_recipe
    from lastbit.training.recipe_training import RecipeTraining

    # Sums are then made in one order, on however many cores.
    torch.set_num_threads(1)
    return Path, RecipeTraining, alt, cs, lb, load_recipe, mo, np, pl, stats, tempfile


@app.cell
def _(cs, mo, pl):
    def table(frame, digits=4):
        """A table with its numbers to so many significant digits."""
        rounded = frame.with_columns(
            cs.float().map_elements(lambda number: f"{number:.{digits}g}", return_dtype=pl.String)
        )
        return mo.ui.table(
            rounded, selection=None, pagination=False, show_search=False, show_download=False, show_data_types=False
        )

    return (table,)


@app.cell
def _(mo):
    # `python compare_two_recipes.py --small`, or `marimo edit compare_two_recipes.py -- --small`
    small = "small" in mo.cli_args()
    return (small,)


@app.cell
def _(Path, mo, tempfile):
    # Studies are kept there: with `--out DIR` the next run of this notebook takes up what is stored.
    out = Path(mo.cli_args().get("out") or tempfile.mkdtemp(prefix="lastbit-"))
    return (out,)


@app.cell
def _(mo):
    mo.md(r"""
    # Is the difference between two recipes real?

    Each recipe is trained for some seeds, which decide the order of batches, and for each seed again with nothing
    changed but the last bit of its updates. Then three questions: do they differ; how large a difference could have
    been seen; and how many runs would a smaller one take?

    Two recipes on bundled images, as text: yours may be a file, `load_recipe("mine.toml")`.
    """)
    return


@app.cell
def _(RecipeTraining, lb, load_recipe, out, small):
    common = ("data.train=512", "data.test=500", "epochs=2") if small else ("data.train=2000", "epochs=4")
    schedule = "schedule.milestones=[1]" if small else "schedule.milestones=[2, 3]"
    recipes = {
        "ReLU": load_recipe("demo", changes=(*common, schedule, "measure.fluctuation_epochs=100")),
        "Swish": load_recipe("demo-swish", changes=(*common, schedule, "measure.fluctuation_epochs=100")),
    }
    seeds = (1, 2, 3) if small else (1, 2, 3, 4, 5)
    noises = [lb.Scale(k=k) for k in (1, 3)]
    studies = {
        name: lb.Study(out / name, RecipeTraining(recipe), name=name, noises=noises, seeds=seeds)
        for name, recipe in recipes.items()
    }
    results = {name: study.run() for name, study in studies.items()}
    return results, seeds, studies


@app.cell
def _(mo, results, studies, table):
    mo.vstack(
        [
            part
            for name, study in studies.items()
            for part in (
                mo.md(f"**{name}**: test accuracy in percent, standard deviations at the edges"),
                table(study.table()),
                mo.md(results[name].verdict),
            )
        ]
    )
    return


@app.cell
def _(lb, studies):
    first, second = studies
    comparison = lb.compare(studies[first], studies[second])
    return comparison, first, second


@app.cell
def _(alt, comparison, first, mo, pl, second):
    runs = pl.DataFrame(
        [
            {"recipe": side.name, "seed": seed, "noise": noise, "test accuracy": float(side.values[i, j])}
            for side in (comparison.a, comparison.b)
            for j, seed in enumerate(side.seeds)
            for i, noise in enumerate(side.noises)
        ]
    )
    shown = (
        alt.Chart(runs)
        .mark_point(filled=True, size=70, opacity=0.8)
        .encode(
            x=alt.X("test accuracy:Q", scale=alt.Scale(zero=False), title="test accuracy, percent"),
            y=alt.Y("recipe:N", title=None),
            yOffset=alt.YOffset("seed:N"),
            color=alt.Color("seed:N"),
            shape=alt.Shape("noise:N"),
        )
        .properties(
            width=560, height=200, title="Every run; one height is one seed, and only the last bit differs on it"
        )
    )
    interval = "none" if comparison.interval is None else "{:.2f} to {:.2f}".format(*comparison.interval)
    answer = "yes, at 5 %" if comparison.is_distinguishable else "not shown"
    mo.vstack(
        [
            mo.md("## Do they differ?"),
            shown,
            mo.md(
                f"**{answer}**: {first} − {second} is {comparison.difference:+.2f} points, 95 % interval"
                f" {interval}, p = {comparison.p:.3g}."
            ),
            mo.md(comparison.verdict),
        ]
    )
    return (runs,)


@app.cell
def _(comparison, mo, runs, seeds, stats):
    pooled = stats.ttest_ind(
        *(group["test accuracy"].to_numpy() for _, group in runs.group_by("recipe", maintain_order=True))
    )
    mo.md(
        f"""
        ### What counts is seeds

        Runs that share a seed are not independent. A t test that counts every run as one, {runs.height // 2} for each
        recipe, says p = {pooled.pvalue:.3g}; with the last bits of each seed averaged, and the {len(seeds)} seeds
        compared pair by pair, p = {comparison.p:.3g}. The second is the right one.
        """
    )
    return (pooled,)


@app.cell
def _(alt, comparison, mo, pl, seeds):
    least = pl.DataFrame(
        [
            {"runs of each recipe": count, "least gain": comparison.least_detectable_gain(count)}
            for count in (2, 3, 4, 6, 8, 12, 20, 30, 50, 100)
        ]
    )
    curve = (
        alt.Chart(least)
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "runs of each recipe:Q",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(values=least["runs of each recipe"].to_list()),
            ),
            y=alt.Y("least gain:Q", scale=alt.Scale(type="log"), title="least gain that shows, points"),
        )
        .properties(width=560, height=240, title="What so many runs of each can show, in 80 % of cases")
    )
    tenth = {gain: comparison.runs_needed(gain) for gain in (1.0, 0.3)}
    needs = " and ".join(f"{count or 'over a million'} for {gain:g} points" for gain, count in tenth.items())
    mo.vstack(
        [
            mo.md("## What could have been seen?"),
            curve,
            mo.md(
                f"A comparison like this one, {len(seeds)} seeds of each, shows a difference of"
                f" **{comparison.detectable:.2f} points** in 80 % of cases; of smaller ones it says little, and *no"
                f" difference found* is not *no difference*. Single runs of each, each with a seed of its own: {needs}."
            ),
        ]
    )
    return (least,)


@app.cell
def _(comparison, mo):
    mo.md(
        "Two single runs that differ by less than"
        f" **{comparison.noise_floor:.2f} points** may differ by their last bits alone (95 %)."
        if comparison.noise_floor is not None
        else "There are too few runs to say what the last bit alone does."
    )
    return


if __name__ == "__main__":
    app.run()
