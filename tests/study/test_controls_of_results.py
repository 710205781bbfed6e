"""Controls hold for all that a study reports: weights, the compared metric's whole series, predictions."""

import itertools
import json
import math

import pytest
import torch

import lastbit as lb
from lastbit.study import ControlsFailedError
from lastbit.study.agreement import Differing, first_logged
from lastbit.study.metric import Metric
from lastbit.study.store import Store

NOISES = [lb.Scale(1), lb.Scale(3)]


def trains(run):
    """Weights that follow from seed and noise alone; k = 2 rounds nothing."""
    k = 1 if run.noise.k == 2 else run.noise.k
    run.snapshot(3, {"w": torch.tensor([float(run.seed), 1 + k / 2**20])})


def make(out, train, metric="acc", seeds=(1,), **options):
    return lb.Study(out, train, noises=NOISES, seeds=seeds, metric=Metric(metric, metric), **options)


def counting(*values):
    """A training whose metric is drawn from what no seed decides."""
    draws = itertools.cycle(values)

    def train(run):
        trains(run)
        run.log(3, acc=next(draws))

    return train


def test_a_random_evaluation_is_named_with_both_values_and_no_number_is_given(tmp_path):
    study = make(tmp_path, counting(0.86, 0.83, 0.81))
    with pytest.raises(ControlsFailedError) as error:
        study.run()
    control, reference = (study.store.load(trial).final("acc") for trial in study.control_trials()["repeat"])
    assert f"same weights bit for bit. But acc ({control} and {reference}) differs" in str(error.value)
    assert error.value.controls.agree == {"repeat": False, "power_of_two": False}
    assert error.value.controls.trained_alike
    said = study.results().verdict
    assert said.startswith("Not to be trusted: the controls failed: the same run twice gave the same weights")
    assert "the evaluation is random" in said
    assert "Seed the evaluation" in said
    assert "moves acc by" not in said
    assert "unseeded generator" not in said, "that would blame the training"


def test_a_random_evaluation_is_noticed_where_its_last_value_agrees(tmp_path):
    draws = itertools.count()

    def train(run):
        trains(run)
        run.log(1, acc=0.5 + next(draws) / 100)
        run.log(3, acc=0.9)

    with pytest.raises(
        ControlsFailedError, match=r"acc \(0\.5\d and 0\.5\d at step 1\) differs: the evaluation is random"
    ):
        make(tmp_path, train).run()


def test_predictions_of_other_examples_are_a_random_evaluation(tmp_path):
    draws = itertools.count()

    def train(run):
        trains(run)
        labels = torch.tensor([0, 1, 2, 3]).roll(next(draws) % 2)
        run.log(3, acc=0.9)
        run.log_predictions(labels, labels)

    with pytest.raises(ControlsFailedError, match=r"the predictions \(4 of 4 examples differ\) differ: the evaluation"):
        make(tmp_path, train).run()


def test_times_are_named_and_do_not_fail_a_study(tmp_path):
    clock = itertools.count()

    def train(run):
        trains(run)
        run.log(3, acc=0.9 + (run.noise.k == 3) / 100, seconds=next(clock), loss=math.nan)

    study = make(tmp_path, train)
    results = study.run()
    assert results.controls.passed
    assert results.verdict.startswith("Last-bit noise moves acc by 0.0071")
    times = " and ".join(str(study.store.load(trial).final("seconds")) for trial in study.control_trials()["repeat"])
    assert f"seconds ({times}) differs between control runs" in results.verdict
    assert "loss" not in results.verdict, "NaN is NaN"
    differ = json.loads(json.dumps(results.as_json()))["controls_differ"]["repeat"]
    assert differ == [{"metric": "seconds", "values": times, "step": 3}]


MACHINE = [
    "seconds",
    "time",
    "time_s",
    "epoch_time",
    "epoch_seconds",
    "train/time",
    "wall",
    "walltime",
    "wall_time_ms",
    "runtime",
    "train_runtime",
    "elapsed",
    "duration",
    "throughput",
    "fps",
    "samples_per_second",
    "train_samples_per_second",
    "tokens/s",
    "it/s",
    "steps_per_sec",
    "eval_steps_per_second",
    "seconds_per_step",
    "time_per_epoch",
    "ms",
    "step_ms",
    "latency_ms",
    "memory",
    "max_memory_mb",
    "peak_mem_gb",
    "gpu_memory",
    "memory_allocated",
    "max_memory_allocated_bytes",
    "rss_kb",
    "timestamp",
    "started_at",
]
RESULTS = [
    "val_ms_ssim",
    "wind_speed_mae",
    "wall_shear",
    "duration_loss",
    "memory_accuracy",
    "lifetime",
    "bytes_per_char",
    "bytes_per_token",
    "loss",
    "acc",
    "runtime_error",
    "arrival_time_mae",
    "mae_seconds",
    "mean_speed",
    "time_to_failure",
    "time_step",
    "steps",
    "timestep",
    "speed_mae",
    "mem_f1",
    "hours_mape",
    "pass_at_1",
    "latency_loss",
    "s",
    "epochs",
    "memory_capacity",
    "survival_time",
    "last_hidden",
    "wall_pressure",
]


@pytest.mark.parametrize(("names", "machine"), [(MACHINE, True), (RESULTS, False)])
def test_only_whole_names_of_times_and_memory_measure_the_machine(names, machine):
    assert [name for name in names if Differing(name, "1 and 2").measures_the_machine != machine] == []


def test_a_random_metric_besides_the_compared_one_is_reported_before_any_number(tmp_path):
    draws = itertools.count()

    def train(run):
        trains(run)
        run.log(3, loss=0.9 + (run.noise.k == 3) / 100, memory_accuracy=next(draws), seconds=next(draws))

    study = make(tmp_path, train, metric="loss")
    said = study.run().verdict
    values = [study.store.load(trial).final("memory_accuracy") for trial in study.control_trials()["repeat"]]
    assert said.startswith(
        f"Memory_accuracy ({values[0]} and {values[1]}) is random: the controls give it different values; no number is "
        "given of it. Last-bit noise moves loss by 0.0071"
    )
    assert "differs between control runs whose other results agree: as times and memory do" in said


def test_other_numbers_of_values_are_no_random_evaluation(tmp_path):
    runs = itertools.count()

    def train(run):
        trains(run)
        if next(runs) != 2:  # the first two are those of the first steps
            run.log(3, acc=0.9)

    with pytest.raises(ControlsFailedError) as error:
        make(tmp_path, train).run()
    assert "values) differs in how many values a run gave" in str(error.value)
    assert "random" not in str(error.value)


def test_the_first_metric_is_the_one_that_was_logged_first(tmp_path):
    def train(run):
        trains(run)
        run.log(3, step_size=1, epoch=1, val_acc=0.5, acc=0.25)

    def logs_epoch_first(run):
        trains(run)
        run.log(3, epoch=1, val_acc=0.5, acc=0.25)

    for name, each, first in (("a", train, "step_size"), ("b", logs_epoch_first, "val_acc")):
        study = make(tmp_path / name, each)
        study.run()
        assert first_logged(study.store.load(study.trials()[0])) == first


def test_a_study_of_times_is_told_to_compare_something_else(tmp_path):
    clock = itertools.count()

    def train(run):
        trains(run)
        run.log(3, seconds=next(clock))

    with pytest.raises(ControlsFailedError, match=r"as times and memory do from run to run.*Compare another metric"):
        make(tmp_path, train, metric="seconds").run()


def test_without_weights_any_other_number_blames_the_training(tmp_path):
    draws = itertools.count()

    def train(run):
        run.log(3, acc=0.9, loss=next(draws), seconds=next(draws))

    with pytest.raises(
        ControlsFailedError, match=r"gave different bits in loss \(\d and \d\) \(no weights were kept"
    ) as error:
        make(tmp_path, train).run()
    assert not error.value.controls.trained_alike
    assert "seconds" not in str(error.value)


def test_weights_of_before_the_difference_do_not_blame_the_evaluation(tmp_path):
    draws = itertools.count()

    def train(run):
        trains(run)
        run.log(7, acc=next(draws))

    with pytest.raises(
        ControlsFailedError, match=r"different bits in acc .*\(no weights were kept after step 3 to tell"
    ):
        make(tmp_path, train).run()


def test_an_uncontrolled_study_is_told_by_runs_with_the_same_weights(tmp_path):
    draws = itertools.count()

    def train(run):
        run.snapshot(3, {"w": torch.tensor([float(run.seed)])})
        run.log(3, acc=next(draws))  # 0 and 1 go to the two runs of the first steps

    said = make(tmp_path, train, controlled=False).run().verdict
    assert said.startswith(
        "Without controls: other sources of noise are not ruled out. Not to be trusted: two runs (seed 1, k=1 and k=3) "
        "have the same weights bit for bit. But acc (2 and 3) differs: the evaluation is random"
    )
    assert "moves acc by" not in said


def seedless(run):
    """The seed never reaches the training."""
    run.snapshot(3, {"w": torch.tensor([1 + run.noise.k / 2**20])})
    run.log(3, acc=0.9 + (run.noise.k == 3) / 100)


def test_seeds_that_change_nothing_are_reported_first_and_count_once(tmp_path):
    study = make(tmp_path, seedless, seeds=range(1, 7))
    # k = 2 would be a noise of its own here.
    study.controlled = False
    results = study.run()
    assert (
        "The seeds gave bit-identical runs (seeds 1 to 6), so they count as one repetition (seed 1)" in results.verdict
    )
    assert results.noise.dof == 1, "two runs of one seed, not twelve of six"
    assert (results.seed, results.share, results.seed_churn) == (None, None, None)
    content = results.as_json()
    assert len(content["trials"]) == 12, "nothing is left out of what is stored"
    assert content["same_seeds"] == [[1, 2, 3, 4, 5, 6]]


def test_seeds_that_repeat_in_groups_count_once_each(tmp_path):
    def train(run):
        run.snapshot(3, {"w": torch.tensor([run.seed % 2 + run.noise.k / 2**20])})
        run.log(3, acc=run.seed % 2 + run.noise.k / 10)

    results = make(tmp_path, train, seeds=range(1, 6), controlled=False).run()
    assert "bit-identical runs (seeds 1, 3 and 5; seeds 2 and 4), so each group counts as one" in results.verdict
    assert results.noise.dof == 2
    assert results.seed.std == pytest.approx(math.sqrt(0.5))


def test_a_seed_of_the_evaluation_alone_is_reported(tmp_path):
    def train(run):
        run.snapshot(3, {"w": torch.tensor([1 + run.noise.k / 2**20])})
        run.log(3, acc=run.seed + run.noise.k / 10)

    said = make(tmp_path, train, seeds=(1, 2), controlled=False).run().verdict
    assert (
        "The seeds 1 and 2 trained the same weights, bit for bit: the seed changes nothing but the evaluation." in said
    )


def test_seeds_that_differ_are_not_accused(tmp_path):
    def train(run):
        trains(run)
        run.log(3, acc=0.9)

    results = make(tmp_path, train, seeds=(1, 2, 3)).run()
    assert results.repetitions.doubt == ""
    assert results.verdict.startswith("Acc is 0.9000 in every run of every seed: it is at a limit, or not the number")


def test_metrics_of_a_trial_count_as_soon_as_it_is_stored(tmp_path):
    """What was found in a script's output is written before the trial counts as stored, with its own checksum."""
    trial = make(tmp_path, trains).trials()[0]
    store = Store(tmp_path)
    with store.attempt(trial):
        recorder = store.begin(trial, {})
        (recorder.directory / "output").mkdir()
        (recorder.directory / "output" / "found.json").write_text("{}")
        (tmp_path / "trials").mkdir()
        store.finish(trial, recorder)
    assert "output/found.json" not in store.load(trial).files
    assert (store.load(trial).directory / "output" / "found.json").exists()
