"""A training that fails before its first update, and alike in the first two trials, is not tried again and again."""

import os
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest
import torch
import toy_training

import lastbit as lb
from lastbit.execution.pool import local_pool
from lastbit.study import Outcome, Trial, TrialFailedError
from lastbit.study.training import FunctionTraining, first_update
from lastbit.study.trial import RepeatedFailure, failure

NOISES, SEEDS = [lb.Scale(k) for k in (1, 3, 5)], range(1, 4)


def failing(tmp_path, train, executor=None, **options):
    study = lb.Study(tmp_path, train, noises=NOISES, seeds=SEEDS, **options)
    with pytest.raises(TrialFailedError) as caught:
        study.run(executor)
    return study, caught.value


def imports_nothing(run):
    import no_such_module  # noqa: F401


def train_nothing(run):
    """Never called."""


def misses_a_file(run):
    (run.directory / "no" / f"data-{run.seed}").read_text()


def steps_first(run):
    weight = torch.ones(1, requires_grad=True)
    optimizer = lb.perturb(torch.optim.SGD([weight], lr=0.1), run.noise)
    weight.sum().backward()
    optimizer.step()
    raise ImportError("no plotting library")


def logs_first(run):
    run.log(0, test_accuracy=10.0)
    raise ImportError("no plotting library")


@pytest.mark.parametrize("train", [imports_nothing, misses_a_file])
def test_two_that_fail_alike_end_the_study(tmp_path, train):
    study, error = failing(tmp_path, train)
    assert (len(error.failures), error.untried) == (2, 9)  # of nine trials and two controls
    assert str(error).startswith("2 trial(s) failed, first seed 1, k=1: Traceback")
    assert len(study.pending()) == 11
    assert len(list((tmp_path / "failed").iterdir())) == 2  # written down like every failure


class Told(Executor):
    """A pool that touches a file when a call that waits is cancelled."""

    def __init__(self, pool, cancelled):
        self.pool, self.cancelled = pool, cancelled

    def submit(self, *call):
        future = self.pool.submit(*call)
        future.add_done_callback(lambda done: self.cancelled.touch() if done.cancelled() else None)
        return future


def waits_from_the_third_on(run):
    """Fail; from the third trial on only when the study has cancelled one that waits."""
    scratch = Path(os.environ["SCRATCH"])
    if run.directory.parent.name == "running":  # a trial, and not the study's look at its first steps
        (scratch / f"begun-{run.directory.name}").touch()
    while len(list(scratch.glob("begun-*"))) > 2 and not (scratch / "cancelled").exists():
        time.sleep(0.02)
    raise ImportError("no such module")


def test_so_do_two_in_a_pool(tmp_path, monkeypatch):
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setenv("SCRATCH", str(scratch))
    with local_pool(1) as pool:
        _, error = failing(tmp_path / "study", waits_from_the_third_on, Told(pool, scratch / "cancelled"))
    begun = len(list(scratch.glob("begun-*")))
    assert begun in (2, 3)  # the worker may have begun a third before the study saw the second fail
    assert (len(error.failures), error.untried) == (begun, 11 - begun)


def test_of_several_workers_those_that_had_begun_are_waited_for_and_counted(tmp_path):
    begun, ended, gate, second = [], [], Barrier(6), Event()

    class Fails(FunctionTraining):
        """Fails: two of six at once, all others when the study has cancelled one that waits."""

        def bit_fingerprint(self, control):
            return None

        def run_trial(self, trial, root, bits):
            begun.append(trial)
            place = len(begun)
            if place <= 6:
                gate.wait(10)
            if place > 2:
                second.wait(10)
            ended.append(trial)
            return Outcome(trial, "ImportError: no such module", untrained=True)

    study = lb.Study(tmp_path, Fails(train_nothing), noises=NOISES, seeds=range(1, 7))

    class Pool(ThreadPoolExecutor):
        """Notices what is cancelled."""

        def submit(self, *job):
            future = super().submit(*job)
            future.add_done_callback(lambda done: second.set() if done.cancelled() else None)
            return future

    with Pool(6) as pool:
        with pytest.raises(TrialFailedError) as caught:
            study.run(pool)
        assert len(ended) == len(begun)  # before the directory was let go of
    assert len(caught.value.failures) == len(begun)
    assert 6 <= len(begun) < 20
    assert caught.value.untried == 20 - len(begun)
    assert len(list((tmp_path / "failed").iterdir())) == len(begun)


@pytest.mark.parametrize("train", [steps_first, logs_first])
def test_those_that_trained_first_may_fail_by_chance_and_all_are_tried(tmp_path, train):
    _, error = failing(tmp_path, train)
    assert (len(error.failures), error.untried) == (11, 0)


def test_those_that_fail_at_some_noise_or_otherwise_do_not_end_it(tmp_path):
    study, error = failing(tmp_path / "noise", toy_training.train_failing)
    assert (len(error.failures), error.untried) == (3, 0)
    assert [trial.noise.label for trial in study.pending()] == ["k=3"] * 3


def outcomes(*errors, code=None):
    trials = [Trial({}, seed, lb.Scale(1)) for seed in range(len(errors))]
    return [
        Outcome(trial, error and error.format(id=trial.id, seed=trial.seed), exit_code=code, untrained=bool(error))
        for trial, error in zip(trials, errors, strict=True)
    ]


@pytest.mark.parametrize(
    ("errors", "ends"),
    [
        (("no file run/{id}/x at seed {seed}",) * 2, [False, True]),
        (("unrecognized arguments: --seed {seed}",) * 3, [False, True, False]),
        (("one", "other", "other"), [False, False, False]),
        ((None, "one", "one"), [False, False, False]),
        (("one", None, "one", "one"), [False, False, False, False]),
    ],
)
def test_only_the_first_two_count_and_only_where_they_say_the_same(errors, ends):
    repeated = RepeatedFailure()
    assert [repeated.is_shown_by(outcome) for outcome in outcomes(*errors)][: len(ends)] == ends


def test_two_that_exit_alike_after_their_training_end_it():
    trials = [Trial({}, seed, lb.Scale(1)) for seed in (1, 2)]
    repeated = RepeatedFailure()
    found = [Outcome(each, f"exit\n0.9{each.seed}", exit_code=1, exited=True) for each in trials]
    assert [repeated.is_shown_by(outcome) for outcome in found] == [False, True]


def test_a_step_is_noticed_and_the_hook_is_gone_afterwards():
    from torch.optim.optimizer import _global_optimizer_post_hooks as hooks

    weight = torch.ones(1, requires_grad=True)
    optimizer, before = torch.optim.SGD([weight], lr=0.1), len(hooks)
    with first_update() as is_updated:
        assert not is_updated()
        weight.sum().backward()
        assert not is_updated()
        optimizer.step()
        assert is_updated()
    assert len(hooks) == before


def test_what_is_kept_of_a_failure_is_its_end():
    assert failure("\n".join(map(str, range(30))), 1).last_lines == tuple(map(str, range(20, 30)))
