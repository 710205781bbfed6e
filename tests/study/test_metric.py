import json
import subprocess
import sys

import numpy as np
import pytest
import toy_training
from hypothesis import given
from hypothesis import strategies as st

import lastbit as lb
from lastbit.study.metric import TEST_ACCURACY, Metric
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining

LOSS = Metric("loss", "training loss")


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([[0.5, 0.5 + 3e-4]], 5),  # STD 2.1e-4: two digits of it
        ([[1200.0, 1260.0]], 0),
        ([[0.25, 0.25], [0.25, np.nan]], 4),  # nothing varies: four digits of the value
        ([[123.4]], 1),
        ([[np.nan, np.nan]], 1),
        ([[0.0]], 1),
        ([[1e-30, 3e-30]], 31),
        ([[1e308, -1e308, 0.5, 0.5 + 3e-4]], 5),
    ],
)
def test_decimals_show_two_digits_of_what_varies(values, decimals):
    assert LOSS.decimals(np.array(values)) == decimals
    assert TEST_ACCURACY.decimals(np.array(values)) == 2


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8), st.floats(1e-3, 1e3))
def test_the_spread_never_reads_as_zero(values, scale):
    table = scale * np.array([values])
    std = (table - table.flat[0]).std(ddof=1)  # of equal values exactly 0, whatever their mean rounds to
    if std > 1e-12:
        assert f"{std:.{LOSS.decimals(table)}f}".strip("0.") != ""


def test_a_study_compares_the_metric_it_is_told_to(tmp_path):
    options = {"noises": [lb.Scale(1), lb.Scale(3)], "seeds": (1, 2), "metric": LOSS}
    study = lb.Study(tmp_path, toy_training.train, **options)
    results = study.run()
    stored = json.loads((tmp_path / "study.json").read_text())
    assert stored["metric"] == {"name": "loss", "label": "training loss", "is_percentage": False}
    rows = results.as_json()
    losses = {(row["noise"], row["seed"]): row["loss"] for row in rows["trials"]}
    assert len(set(losses.values())) > 2
    per_seed = [np.std([losses["k=1", seed], losses["k=3", seed]], ddof=1) for seed in (1, 2)]
    assert rows["std"]["noise"]["pooled"]["std"] == pytest.approx(np.sqrt(np.mean(np.square(per_seed))))
    assert rows["metric"]["name"] == "loss"
    assert rows["metric"]["unit"] is rows["std"]["unit"] is rows["sampling_error"] is None
    assert "Last-bit noise moves training loss by " in rows["verdict"]
    assert "of what the seed does (" in rows["verdict"]
    assert "points" not in rows["verdict"]
    assert study.table().columns == ["noise", "seed 1", "seed 2", "STD"]
    assert study.table()["seed 1"][0] == losses["k=1", 1]


class Shuffled:
    """A training that says what its seed decides."""

    seed_decides = "batch order"

    def __call__(self, run):
        toy_training.train(run)


def test_a_training_may_say_what_its_seed_decides_and_an_argument_overrules_it(tmp_path):
    options = {"noises": [lb.Scale(1), lb.Scale(3)], "seeds": (1, 2)}
    recipe = RecipeTraining(load_recipe("demo", scale="smoke"))
    said = [lb.Study(tmp_path, train, **options).seed_decides for train in (toy_training.train, Shuffled(), recipe)]
    assert said == ["the seed", "batch order", "batch order"]
    study = lb.Study(tmp_path, Shuffled(), seed_decides="dropout", **options)
    assert "Dropout moves it by 5" in study.run().verdict
    assert lb.open_study(tmp_path).seed_decides == "dropout"  # as it is stored, whatever the default


def test_the_page_speaks_of_the_metric_and_not_of_accuracy(tmp_path):
    options = {"noises": [lb.Scale(1), lb.Scale(3)], "seeds": (1, 2), "metric": LOSS}
    study = lb.Study(tmp_path / "study", toy_training.train, **options)
    study.run()
    study.report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text().split('id="chart-data"')[0]
    assert "<h3>Training loss from run to run</h3>" in page
    assert "test accuracy" not in page.lower()
    assert "seed, over all noises" in page
    assert "the seed, over all noises" not in page
    assert "The seed is handed to the training" in page
    assert "batch order" not in page
    assert "order of the training images" not in page
    value = study.table()["seed 1"][0]
    assert f"<td>{value:.{LOSS.decimals(study.grid().values('loss'))}f}</td>" in page


def test_a_metric_that_no_run_logged_is_reported_with_those_that_they_did(tmp_path):
    def train(run):
        run.log(1, acc=90.0 + run.noise.k, loss=0.1)

    verdict = lb.Study(tmp_path, train, noises=[lb.Scale(1), lb.Scale(3)], seeds=(1,), controlled=False).run().verdict
    assert "No run has a value of test accuracy (the runs logged acc, loss: choose one with `metric`)." in verdict
    chosen = lb.Study(
        tmp_path, train, noises=[lb.Scale(1), lb.Scale(3)], seeds=(1,), controlled=False, metric=lb.Metric("acc", "acc")
    )
    assert "No run has a value" not in chosen.run().verdict


def test_a_study_imports_nothing_that_reads_tables():
    code = (
        "import sys, lastbit; lastbit.Study; print([name for name in sys.modules if name.startswith('lastbit.runs')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
