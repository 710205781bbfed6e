"""Studies with each of the noises."""

import json

import numpy as np
import pytest
import toy_training

import lastbit as lb
from lastbit.noise import Unperturbed
from lastbit.statistics.spread import spread
from lastbit.study import ControlsFailedError
from lastbit.study.agreement import Agreement
from lastbit.study.controls import Controls
from lastbit.study.verdict import Basis, verdict

KINDS = {
    "ulp": [lb.Ulp(None), lb.Ulp(1), lb.Ulp(2)],
    "rounding": [lb.Rounding(0, 0), lb.Rounding(0.5, 1), lb.Rounding(0.5, 2)],
    "operations": [lb.Operations(0, 0), lb.Operations(1, 0.5), lb.Operations(2, 0.5)],
    "order": [lb.Order(None), lb.Order(1), lb.Order(2)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_controls_are_the_noise_twice_and_turned_off(tmp_path, kind):
    baseline, noise, other = KINDS[kind]
    study = lb.Study(tmp_path, toy_training.train, noises=[baseline, noise, other], seeds=(1, 2))
    begun = [(trial.noise, trial.seed, trial.replica) for trial in study.pending()]
    assert begun[:4] == [(noise, 1, 0), (noise, 1, 1), (Unperturbed(), 1, 0), (baseline, 1, 0)]
    assert len(begun) == len(set(begun)) == 8
    results = study.run()
    assert results.controls.agree == {"repeat": True, "null": True}
    assert any(distance.rel_l1.value > 0 for distance in results.distances)
    assert {distance.noise for distance in results.distances} == {1, 2}
    assert results.source == noise.source
    assert study.table()["noise"].to_list() == [baseline.label, noise.label, other.label, "STD"]
    rows = json.loads(json.dumps(results.as_json()))["trials"]
    assert [(row["seed"], row["noise_seed"]) for row in rows] == [
        (seed, each.as_json()["seed"]) for seed in (1, 2) for each in KINDS[kind]
    ]


def train_noticing_its_noise(run):
    """Another training wherever the noise is turned off and yet there."""
    run.log(1, test_accuracy=50.0 + (run.noise == lb.Ulp(None)))


def test_a_null_noise_that_changes_bits_stops_the_study(tmp_path):
    study = lb.Study(tmp_path, train_noticing_its_noise, noises=KINDS["ulp"], seeds=(1,))
    with pytest.raises(ControlsFailedError, match="the noise turned off gave other bits than no noise at all"):
        study.run()
    assert study.controls().agree == {"repeat": True, "null": False}


def train_without_noise(run):
    """Does not use the noise that it is given."""
    toy_training.train(type("Plain", (), {"noise": lb.Scale(1), "__getattr__": lambda _, name: getattr(run, name)})())


def test_a_training_that_does_not_use_its_noise_is_reported(tmp_path):
    study = lb.Study(tmp_path, train_without_noise, noises=KINDS["order"], seeds=(1,))
    assert study.run().verdict == (
        "Summation order left the test accuracy of every run as it was, for no weight of any run differs: rounding "
        "absorbed it all, or the training does not use its noise."
    )


def test_several_sources_are_all_named(tmp_path):
    noises = [lb.Scale(1), lb.Scale(3), lb.Order(1)]
    study = lb.Study(tmp_path, toy_training.train, noises=noises, seeds=(1,))
    assert study.results().source == "last-bit noise and summation order"
    assert lb.Study(tmp_path, toy_training.train, noises=noises[2:], seeds=(1,)).results().source == "summation order"
    assert lb.Study(tmp_path, toy_training.train, noises=noises[:1], seeds=(1,)).results().source == "last-bit noise"


def test_the_verdict_of_noise_that_moves_weights_and_no_accuracy():
    still = spread(np.array([80.0, 80.0, 80.0]))
    said = verdict(
        Basis(
            source="summation order",
            controls=Controls({"repeat": Agreement()}),
            noise=still,
            seed=None,
            share=None,
            largest_distance=3.24e-7,
            diverged=0,
            failed=0,
        )
    )
    assert said == (
        "Summation order left the test accuracy of every run as it was, and the weights moved by no more than RelL1 "
        "3.2e-7 (relative distance, 0 for equal weights and 2 for opposite ones)."
    )
