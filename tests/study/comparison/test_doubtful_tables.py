"""Tables that compare as they are and in which something is doubtful: said with the row, and what it does."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

import lastbit as lb
from lastbit.errors import LastbitError

SEEDS = list(range(1, 9))
BASE = np.array([90.1, 90.4, 89.8, 90.0, 90.3, 89.7, 90.2, 89.9])
NEW = BASE + np.array([0.9, 1.2, 1.0, 1.1, 0.8, 1.3, 1.0, 0.7])

WIDE = "as wide as all values; for 0.3 points give 0.003"


def compared(base=BASE, new=NEW, seeds=SEEDS, **options):
    frame = pl.DataFrame(
        {
            "recipe": ["base"] * len(base) + ["new"] * len(new),
            "seed": [*seeds, *SEEDS[: len(new)]],
            "acc": np.concatenate([base, new]).astype(float),
        },
        strict=False,
    )
    return lb.compare(frame, by="recipe", metric="acc", **options)


def with_run(value):
    base = BASE.copy()
    base[3] = value
    return base


def test_a_run_far_from_its_recipe_is_named_with_what_is_found_without_it():
    found = compared(with_run(9.0))
    kept = np.arange(8) != 3
    expected = stats.ttest_rel(NEW[kept], BASE[kept])
    low, high = expected.confidence_interval()
    assert found.notes[0] == (
        "Far from the other runs of the recipe: 9 of base (row 3; the other 7 have 89.7 to 90.4). It counts like any "
        f"other; without it: new − base: {np.mean(NEW[kept] - BASE[kept]):+.3f}, 95 % interval {low:.3f} to {high:.3f} "
        f"(paired t test on 7 common seeds, p = {expected.pvalue:.2g}): new is better, by more than noise."
    )
    assert found.decimals == compared().decimals  # the run takes none of the others' digits
    assert found.comparisons[0].difference == pytest.approx(np.mean(NEW - with_run(9.0)))  # it counts
    assert compared().rest == ()


def test_a_run_in_another_unit_is_one_note_with_what_is_found_without_it():
    found = compared(with_run(0.9012))
    about = [note for note in found.notes if "row 3" in note]
    assert len(about) == 1
    assert about[0].startswith(
        "1 of 16 values of acc looks like a fraction (row 3), the others like percents. Far from"
    )
    assert "without it: new − base: +0.986" in about[0]
    few = compared(np.array([90.1, 0.9]), NEW[:3], seeds=[1, 2])  # too few to tell a spread
    assert "without it: new − base +1.0: a single run, or seed, tells no difference" in few.notes[0]


def test_a_run_without_a_seed_is_left_out_of_pairs_alone():
    found = compared(seeds=[1, 2, None, *SEEDS[3:]])
    kept = np.arange(8) != 2
    (row,) = found.as_json()["comparisons"]
    assert (row["test"], row["common_seeds"]) == ("paired t", 7)
    assert row["p"] == pytest.approx(stats.ttest_rel(NEW[kept], BASE[kept]).pvalue)
    base, new = found.as_json()["recipes"]
    assert (base["runs"], len(base["seeds"]), new["seeds"]) == (8, 7, SEEDS)
    assert base["mean"] == pytest.approx(BASE.mean())
    assert base["std"] == pytest.approx(BASE.std(ddof=1))
    assert "1 of 16 runs has no seed (row 2), and is in no pair." in found.notes
    assert found.best is not None
    nothing = compared(seeds=[None] * 8)
    assert nothing.comparisons[0].test.kind == "Welch t"


@pytest.mark.parametrize(
    ("scale", "within", "said"),
    [
        (1, 0.3, "acc looks like percents, of which 0.3 is 0.3 percentage points."),
        (1, 0.01, "acc looks like percents, of which 0.01 is 0.01 percentage points; for 1 point give 1."),
        (0.01, 0.003, "acc looks like fractions, of which 0.003 is 0.3 percentage points."),
        (0.01, 0.3, f"acc looks like fractions, of which 0.3 is 30 percentage points, {WIDE}."),
    ],
)
def test_the_unit_of_a_margin_is_said(scale, within, said):
    notes = compared(scale * BASE, scale * NEW, within=within).notes
    assert notes[0] == f"The margin, {within:g}, is in the unit of acc as the table has it. {said}"
    assert not any("margin" in note for note in compared(scale * BASE, scale * NEW).notes)


def test_coarse_rounding_is_said_and_fine_rounding_is_not():
    base, new = 90 + (BASE - 90) / 50, 90.01 + (NEW - 91) / 50  # spreads of about 0.005
    notes = compared(base.round(2), new.round(2)).notes
    said = [note for note in notes if note.startswith("acc is written in steps of 0.01, and runs of a recipe spread")]
    assert len(said) == 1
    assert "steps" not in " ".join(compared(base.round(3), new.round(3)).notes)
    assert "steps of 1," in " ".join(compared([10, 11, 10, 10], [11, 12, 11, 11], seeds=SEEDS[:4]).notes)
    assert "steps" not in " ".join(compared(1e-100 * BASE, 1e-100 * NEW).notes)
    assert "steps" not in " ".join(compared([10, 10, 10], [12, 12, 12], seeds=SEEDS[:3]).notes)  # nothing spreads


@pytest.mark.parametrize("scale", [1e-100, 1e-12, 1e12, 1e100])
def test_very_small_and_very_large_metrics_keep_their_digits_and_are_short(scale):
    found = compared(scale * BASE, scale * NEW)
    (row,) = found.comparisons
    digits = f"{row.difference:+.3e}".replace("e+", "e")
    assert f"new − base: {digits}," in found.verdict
    assert max(map(len, found.verdict.split())) < 16
    assert row.p == pytest.approx(compared().comparisons[0].p)


def test_metrics_whose_squares_are_no_numbers_are_left_out_or_refused():
    found = compared(with_run(1e308))
    assert "Diverged and left out, since acc is not finite or beyond 1e+150: 1 of base (row 3)" in " ".join(found.notes)
    assert len(found.comparisons[0].seeds) == 7
    with pytest.raises(LastbitError, match=r"has no run with a finite acc"):
        compared(1e300 * BASE, 1e300 * NEW)
    with pytest.raises(LastbitError, match=r"^acc is below 1e-150 in every run, where squares are 0"):
        compared(1e-300 * BASE, 1e-300 * NEW)
    numbers = lb.compare([1e308, 1.0, 2.0, 1.5], [3.0, 4.0, 3.5, 3.2])
    assert "Not counted in a: run 1" in numbers.verdict
