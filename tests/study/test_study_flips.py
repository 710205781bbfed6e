"""What a study says of classes and examples that flip, counted here from what the runs predicted."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
import torch

import lastbit as lb
from lastbit.storage.files import read_checksummed

SEEDS, KS, EXAMPLES = (1, 2, 3), (1, 3, 5), 120


def predictions(seed, k):
    """Labels of which every tenth, those of class 3, flip often; the others seldom."""
    generator = torch.Generator().manual_seed(100 * seed + k)
    targets = torch.arange(EXAMPLES) % 10
    flips = torch.rand(EXAMPLES, generator=generator) < torch.where(targets == 3, 0.5, 0.05)
    return torch.where(flips, (targets + 1) % 10, targets), targets


@dataclass(frozen=True)
class Guess:
    """Trains nothing."""

    with_targets: bool = True

    @property
    def settings(self):
        return {"name": "guess", "with_targets": self.with_targets}

    class_names = tuple("abcdefghij")

    def pictures(self, positions):
        return [f"data:image/png;base64,{position:04d}" for position in positions]

    def __call__(self, run):
        labels, targets = predictions(run.seed, run.noise.k)
        run.log(1, test_accuracy=100 * float((labels == targets).double().mean()))
        run.log_predictions(labels, targets if self.with_targets else None)


def study(directory, **options):
    made = lb.Study(directory, Guess(**options), noises=[lb.Scale(k) for k in KS], seeds=SEEDS, controlled=False)
    made.run()
    return made


@pytest.fixture(scope="module")
def flips(tmp_path_factory):
    return read_checksummed(study(tmp_path_factory.mktemp("flips")).store.root / "results.json")["flips"]


def by_hand(along):
    """Percent of pairs that differ, for each example."""
    places = [(k, seed) for k in KS for seed in SEEDS]
    other = {"noise": 1, "seed": 0}[along]
    pairs = [(a, b) for a, b in combinations(places, 2) if a[other] == b[other]]
    differ = [(predictions(a[1], a[0])[0] != predictions(b[1], b[0])[0]).numpy() for a, b in pairs]
    return 100 * np.mean(differ, axis=0)


@pytest.mark.parametrize("along", ["noise", "seed"])
def test_churn_by_class_is_the_mean_over_its_examples(flips, along):
    churn = by_hand(along)
    rows = flips[along]["classes"]
    assert [row["label"] for row in rows] == list(range(10))
    assert [row["churn"] for row in rows] == pytest.approx([churn[c::10].mean() for c in range(10)])
    assert min(rows, key=lambda row: row["p_adjusted"])["label"] == 3
    assert rows[3]["p_adjusted"] < 0.01


@pytest.mark.parametrize("along", ["noise", "seed"])
def test_the_examples_that_flip_most_come_with_votes_and_pictures(flips, along):
    churn, rows = by_hand(along), flips[along]["examples"]
    assert [row["churn"] for row in rows] == pytest.approx(sorted(churn, reverse=True)[:12])
    for row in rows:
        votes = [int(predictions(seed, k)[0][row["index"]]) for k in KS for seed in SEEDS]
        assert dict(row["votes"]) == {label: votes.count(label) for label in set(votes)}
        assert row["target"] == row["index"] % 10
        assert flips["pictures"][str(row["index"])].endswith(f"{row['index']:04d}")
    assert flips["class_names"] == list("abcdefghij")


def test_without_true_labels_it_is_not_known_who_is_hurt(tmp_path):
    assert study(tmp_path, with_targets=False).results().as_json()["flips"] is None


def test_a_study_opened_again_says_the_same_without_pictures(tmp_path):
    content = study(tmp_path).store.stored_results()["flips"]
    again = lb.open_study(tmp_path).results().as_json()["flips"]
    assert again["noise"]["classes"] == content["noise"]["classes"]
    assert set(content) - set(again) == {"class_names", "pictures"}
