"""Treatments against their baseline: each number by hand or by scipy, and what is called better."""

from math import inf

import numpy as np
import pytest
import torch
from scipy import stats

import lastbit as lb
from lastbit.divergence import rel_l1
from lastbit.report.remedies_tables import remedies_table
from lastbit.study.comparison.remedies import Treated, compare_remedies, horizon
from lastbit.study.comparison.remedies_json import remedies_json
from lastbit.study.distances import Distance

SEEDS = (1, 2, 3, 4)
EXAMPLES = 200
JITTER = {1: 0.3, 2: -0.2, 3: 0.1, 4: -0.1}  # of the accuracy at a seed


class Made:
    """A training whose results are what a test wants: so many predictions that the last bit and the seed change."""

    def __init__(self, name, *, accuracy, last_bit, order, apart=0.0, diverges=False):
        self.settings = {"name": "made", "made": name}
        self.accuracy, self.last_bit, self.order = accuracy, last_bit, order
        self.apart, self.diverges = apart, diverges

    def __call__(self, run):
        k = run.noise.k
        if self.diverges and k == 3 and run.seed == 2:
            run.mark_diverged(3)
            return
        labels = torch.zeros(EXAMPLES, dtype=torch.int64)
        labels[: self.order(run.seed)] = run.seed  # which no other seed predicts
        if k == 3:
            labels[EXAMPLES - self.last_bit(run.seed) :] = 9
        for step in (1, 10):
            weight = torch.ones(4, dtype=torch.float64) + (k == 3) * step * self.apart
            run.snapshot(step, {"weight": weight})
        run.log(10, test_accuracy=self.accuracy(run.seed) + 0.01 * k)
        run.log_predictions(labels, torch.zeros(EXAMPLES, dtype=torch.int64))


def treated(tmp_path, name, *, seeds=SEEDS, seconds=None, memory=None, notes=(), **made):
    made.setdefault("accuracy", lambda seed: 80 + seed)
    made.setdefault("last_bit", lambda seed: 20 + seed)
    made.setdefault("order", lambda seed: 30)
    study = lb.Study(
        tmp_path / name, Made(name, **made), noises=[lb.Scale(1), lb.Scale(3)], seeds=seeds, controlled=False
    )
    results = study.run()
    took = {} if seconds is None else {trial.id: seconds(trial) for trial in study.trials()}
    return Treated(name, {}, results, took, memory, notes)


def compared(tmp_path, *others, within=1.0, **base):
    parts = [treated(tmp_path, "baseline", **base), *(treated(tmp_path, **other) for other in others)]
    return compare_remedies("made", parts, within=within)


BETTER = {"name": "calm", "last_bit": lambda seed: seed % 2, "accuracy": lambda seed: 80.1 + seed + JITTER[seed] / 2}


def test_one_treatments_numbers_are_students_on_seeds(tmp_path):
    found = compared(tmp_path, BETTER)
    (row,) = found.rows
    difference = np.array([0.1 + JITTER[seed] / 2 for seed in SEEDS])
    low, high = stats.t.interval(0.95, 3, difference.mean(), stats.sem(difference))
    assert row.accuracy.difference == pytest.approx(difference.mean())
    assert row.accuracy.simultaneous == pytest.approx((low, high))
    there = np.array([20 + seed for seed in SEEDS]) * 100 / EXAMPLES
    here = np.array([seed % 2 for seed in SEEDS]) * 100 / EXAMPLES
    assert found.measured.churn["last_bit"][0] == pytest.approx(there.mean())
    assert found.measured.churn["last_bit"][1] == pytest.approx(
        stats.t.interval(0.95, 3, there.mean(), stats.sem(there))
    )
    change = stats.t.interval(0.95, 3, (here - there).mean(), stats.sem(here - there))
    assert row.churn["last_bit"].simultaneous == pytest.approx(change)
    assert row.times_lower("last_bit", found.measured) == pytest.approx(there.mean() / here.mean())
    assert row.is_better
    further = np.mean([abs(s - t) for s in SEEDS for t in SEEDS if s != t]) / 2  # at k=3, and at k=1 none
    assert found.measured.churn["batch_order"][0] == pytest.approx(100 * (30 + further) / EXAMPLES)


def test_many_treatments_have_wider_intervals_that_hold_together(tmp_path):
    alone = compared(tmp_path / "one", BETTER).rows[0].accuracy.simultaneous
    two = compared(tmp_path / "two", BETTER, {**BETTER, "name": "calmer"}).rows[0].accuracy.simultaneous
    assert two[0] < alone[0]
    assert two[1] > alone[1]


@pytest.mark.parametrize(
    ("changes", "better", "says"),
    [
        ({}, True, "calm is better than the baseline beyond doubt, at the same accuracy"),
        (
            {"accuracy": lambda seed: 78 + seed + JITTER[seed]},
            False,
            "calm lowers the churn by the last bit, but the accuracy too (-1.9",
        ),
        (
            {"accuracy": lambda seed: 80 + seed + 9 * JITTER[seed]},
            False,
            "calm lowers the churn by the last bit, but is not shown to keep the accuracy (+0.2",
        ),
        ({"last_bit": lambda seed: 20 + seed + (seed % 2)}, False, "calm is not shown to lower the churn"),
        ({"last_bit": lambda seed: 60 + 2 * seed}, False, "calm raises the churn by the last bit."),
        ({"diverges": True}, False, "calm: 1 of its runs diverged."),
    ],
)
def test_better_is_less_churn_at_the_same_accuracy_beyond_doubt(tmp_path, changes, better, says):
    found = compared(tmp_path, {**BETTER, **changes})
    content = remedies_json(found)
    assert content["remedies"][0]["better"] is better
    assert says in content["verdict"]
    assert ("No remedy is shown to be better" in content["verdict"]) is not better


def test_the_margin_decides_what_the_same_accuracy_is(tmp_path):
    loses = {**BETTER, "accuracy": lambda seed: 79.5 + seed + JITTER[seed] / 4}
    assert not compared(tmp_path / "narrow", loses, within=0.5).rows[0].is_better
    assert compared(tmp_path / "wide", loses, within=1.0).rows[0].is_better


def test_less_churn_by_batch_order_alone_is_better_too(tmp_path):
    found = compared(
        tmp_path,
        {"name": "steady", "order": lambda seed: 10 + 3 * seed, "accuracy": BETTER["accuracy"]},
        order=lambda seed: 50 + seed,
    )
    assert found.rows[0].lowers == ["batch_order"]
    verdict = remedies_json(found)["verdict"]
    assert "the seed changes " in verdict
    assert "the last bit" not in verdict


def test_one_seed_leaves_everything_in_doubt(tmp_path):
    content = remedies_json(compared(tmp_path, {**BETTER, "seeds": (1,)}, seeds=(1,)))
    assert content["verdict"].startswith("One seed gives no interval, so nothing is beyond doubt")
    assert content["remedies"][0]["better"] is False
    assert content["remedies"][0]["accuracy_change"] is None


def test_the_cost_is_the_ratio_of_the_same_seeds_and_noises(tmp_path):
    slow = {1: 1.1, 2: 1.3, 3: 1.2, 4: 1.25}
    found = compared(
        tmp_path,
        {**BETTER, "seconds": lambda trial: 2.0 * trial.seed * slow[trial.seed], "memory": 300},
        seconds=lambda trial: 2.0 * trial.seed,
        memory=200,
    )
    logs = np.log([ratio for ratio in slow.values() for _ in range(2)])
    cost = remedies_json(found)["remedies"][0]["cost"]
    assert cost["time"] == pytest.approx(stats.gmean(list(slow.values())))
    assert cost["time_interval"] == pytest.approx(np.exp(stats.t.interval(0.95, 7, logs.mean(), stats.sem(logs))))
    assert cost["memory"] == 1.5


def test_where_nothing_was_timed_there_is_no_cost(tmp_path):
    content = remedies_json(compared(tmp_path, {**BETTER, "notes": ("nothing to do",)}))
    assert content["remedies"][0]["cost"] == {"time": None, "memory": None, "time_interval": None}
    assert "calm: nothing to do" in content["notes"]


def at(noise, seed, step, value):
    one, other = ({"w": torch.tensor([1.0 + offset], dtype=torch.float64)} for offset in (value, 0.0))
    return Distance(noise, seed, step, rel_l1(one, other))


def test_the_horizon_is_the_median_of_the_first_steps_beyond_the_level():
    early = [at(1, 0, step, value) for step, value in ((1, 1e-6), (8, 0.3), (16, 1e-4))]
    late = [at(1, 1, step, value) for step, value in ((1, 1e-6), (8, 1e-4), (16, 0.3))]
    never = [at(1, 2, step, 1e-6) for step in (1, 8, 16)]
    assert horizon([*early, *late]) == 12
    assert horizon([*early, *late, *never]) == 16
    assert horizon([*early, *never]) == inf
    assert horizon([]) is None


def test_a_horizon_that_is_not_reached_is_said_in_json(tmp_path):
    content = remedies_json(compared(tmp_path, BETTER, apart=0.01))
    assert (content["baseline"]["horizon"], content["baseline"]["horizon_reached"]) == (10.0, True)
    assert (content["remedies"][0]["horizon"], content["remedies"][0]["horizon_reached"]) == (None, False)
    assert content["steps"] == 10


def test_a_metric_of_1e_16_and_its_change_are_written_with_powers_of_ten():
    churn = {"last_bit": None, "batch_order": None}
    base = {"name": "baseline", "accuracy": 3.2e-16, "churn": churn, "diverged": 0}
    change = {"accuracy_difference": -1.2e-16, "accuracy_change": [-2.5e-16, 1e-17], "better": None}
    row = {**base, **change, "name": "lr=0.5", "accuracy": 2e-16}
    names = {"last_bit": "the last bit", "batch_order": "batch order"}
    content = {"metric": "loss", "decimals": 17, "sources": names, "baseline": base, "remedies": [row]}
    before, after = remedies_table(content).rows
    assert before[1:3] == ["3.2e-16", ""]
    assert after[1:3] == ["2.0e-16", "-1.2e-16"]
    assert after[2].small == "-2.5e-16 to +1e-17"
