"""What a study of several sources says of quality where true labels were not stored, and of what never moved."""

from itertools import combinations

import numpy as np
import pytest
import torch

import lastbit as lb
from lastbit.report.study import write_report
from lastbit.study.metric import TEST_ACCURACY

EXAMPLES = 500


def unlabelled(run):
    """Predictions of two classes without true labels, of which some are another one in every run."""
    draws = np.random.default_rng([*run.seeds.values(), run.noise.k])
    wrong = draws.random(EXAMPLES) < 0.1 + 0.02 * (run.seeds["init"] % 2)
    run.log(1, test_accuracy=100 * float(1 - wrong.mean()))
    run.log_predictions(torch.as_tensor(wrong).long())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = lb.Study(
        tmp_path_factory.mktemp("unlabelled") / "study",
        unlabelled,
        vary=["init", "order", "last-bit"],
        runs=14,
        controlled=False,
        metric=TEST_ACCURACY,
    )
    study.run()
    return study


def test_without_true_labels_the_luck_is_at_most_what_churn_and_error_rate_allow(study):
    """Of runs that share no seed, and of repeats: at most one of two runs that disagree is right."""
    content, grid = study.results().as_json(), study.grid()
    labels = {place: trial.predictions().numpy() for place, trial in grid.stored.items()}
    seeds = content["design"]["seeds"]
    apart = [
        np.mean(labels[0, a] != labels[0, b])
        for a, b in combinations(range(9), 2)
        if all(of[a] != of[b] for of in seeds.values())
    ]
    error = 1 - np.mean([trial["test_accuracy"] for trial in content["trials"]]) / 100
    binomial = 100 * np.sqrt(error * (1 - error) / EXAMPLES)
    of_run = min(100 * np.sqrt(np.mean(apart) / 2 / EXAMPLES), binomial)
    repeats = [np.mean(labels[0, cell] != labels[noise, cell]) for noise, cell in study.design.places[9:]]
    of_last_bit = min(100 * np.sqrt(np.mean(repeats) / 2 / EXAMPLES), binomial)
    assert len(apart) == 18
    for name in ("init", "order", "interaction", "last_bit"):
        part, bound = content["sources"][name], of_last_bit if name == "last_bit" else of_run
        quality = part["quality"]
        assert part["luck"] is None
        assert quality["luck"] == pytest.approx(bound)
        assert quality["luck_by"] in ("churn", "error rate")
        grown = EXAMPLES / (EXAMPLES - 1)
        assert quality["upper"] ** 2 == pytest.approx(grown * part["upper"] ** 2)
        assert quality["lower"] ** 2 == pytest.approx(max(0, grown * (part["lower"] ** 2 - bound**2)))


def test_it_says_that_the_luck_is_only_bounded(study, tmp_path):
    content = study.results().as_json()
    quality = content["sources"]["init"]["quality"]
    assert (
        f"On an unlimited test set initialisation would move test accuracy by {quality['lower']:.2f} to "
        f"{quality['upper']:.2f} points, batch order by "
    ) in content["verdict"]
    assert "95 % intervals; what independent errors give is only bounded, by the " in content["verdict"]
    assert "independent errors alone would give at most " in content["verdict"]
    write_report([content], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "the second point is an upper bound and the third has no estimate" in page
    assert f"at most {quality['luck']:.2f}" in page
