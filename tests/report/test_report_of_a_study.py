"""The page of a real study, run here: every number of its table, from the trials to the page."""

from html import unescape

import numpy as np
import pytest
import torch

from lastbit.noise import Scale
from lastbit.report.charts.curves import last_rows
from lastbit.report.page import render
from lastbit.report.study import write_report
from lastbit.report.study.page import study_page
from lastbit.report.study.stored import as_stored
from lastbit.study import Study

NOISES, SEEDS = (Scale(1), Scale(3), Scale(5)), (1, 2, 3)


def train(run):
    """Stands in for a training; k = 5 diverges at seed 3."""
    generator = torch.Generator().manual_seed(100 * run.seed + (0 if run.noise.is_exact else run.noise.k))
    weights = torch.linspace(1, 2, 50)
    for step in (1, 2, 4):
        jitter = 0 if run.noise.is_exact else run.noise.k * step * 1e-6
        run.snapshot(step, {"layer.weight": weights + jitter, "layer.bias": weights[:5]})
    if run.noise.k == 5 and run.seed == 3:
        run.mark_diverged(3)
        return
    run.log(4, test_accuracy=80 + run.seed + float(torch.rand((), generator=generator)), gradient_fluctuation=12.5)
    run.log_predictions(torch.randint(0, 10, (200,), generator=generator))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """As a command stores them."""
    root = tmp_path_factory.mktemp("study")
    settings = {"name": "tiny", "dtype": "float32"}
    study = Study(root / "tiny", train, noises=NOISES, seeds=SEEDS, settings=settings)
    return as_stored([study.run().as_json()])[0]


def test_results_of_a_study_have_all_a_page_needs(results, tmp_path):
    write_report([results], tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert results["verdict"] in unescape(html)
    assert "Controls passed" in html
    assert "diverged at step 3" in html
    assert "None" not in html.partition('<script type="application/json"')[0]


def test_every_accuracy_and_its_spreads_are_on_the_page(results):
    html = render(study_page([results]), libraries="")
    table = np.full((3, 3), np.nan)
    for trial in results["trials"]:
        if trial["test_accuracy"] is not None:
            table[(1, 3, 5).index(trial["k"]), trial["seed"] - 1] = trial["test_accuracy"]
    assert np.isnan(table).sum() == 1
    for accuracy in table[~np.isnan(table)]:
        assert f"<td>{accuracy:.2f}</td>" in html
    for values in [*table, *table.T]:
        assert f"<td>{np.nanstd(values, ddof=1):.2f}<small>" in html


def test_the_distances_are_those_of_the_weights(results):
    html = render(study_page([results]), libraries="")
    weights = np.linspace(1, 2, 50, dtype=np.float32).astype(float)
    far = (weights + 5 * 4e-6).astype(np.float32).astype(float)
    # The bias, a tenth as many weights, does not move.
    farthest = 2 * (np.abs(far - weights) / (far + weights)).sum() / 55
    assert max(row["value"] for row in last_rows(results["rel_l1"])) == pytest.approx(farthest, rel=1e-3)
    assert f"and {farthest:.1e}".replace("e-0", "e-") in html
    assert "to 1.1e-5 (layer.weight)" in html
