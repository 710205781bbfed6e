"""What a study takes is said before it begins, and asked on a terminal above an hour."""

import re
import time

import pytest
from tests.study.toy_training import train

import lastbit as lb
from lastbit.cli import cost, progress
from lastbit.cli.commands import app
from lastbit.cli.cost import Answers, announce_rest, announce_study, recipe_seconds
from lastbit.cli.output import StoppedCommandError
from lastbit.cli.workers import Executors
from lastbit.execution.numerics import repeatable_numerics
from lastbit.study import Recorder, Trial
from lastbit.study.training import run_trial
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining


@pytest.fixture
def terminal(monkeypatch):
    """A person at a terminal; gives the questions, and takes the answers."""
    answers, asked = [], []
    monkeypatch.setattr(cost, "at_terminal", lambda: True)
    monkeypatch.setattr(cost.typer, "confirm", lambda text, err: asked.append(text) or answers.pop(0))
    return answers, asked


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """A machine with two cores, by which the start of workers is estimated."""
    monkeypatch.setattr(cost.os, "cpu_count", lambda: 2)


def announced(tmp_path, capsys, seconds, *, workers=2, yes=False, run=False):
    study = lb.Study(tmp_path / "toy", train, noises=[lb.Scale(1), lb.Scale(3)], seeds=(1, 2, 3), name="toy")
    if run:
        study.run()
    found = announce_study(study, executors=Executors(workers, None), run_seconds=lambda: seconds, answers=Answers(yes))
    return found, capsys.readouterr().err


def test_runs_time_and_workers_are_reported(tmp_path, capsys):
    found, said = announced(tmp_path, capsys, 90.0)
    assert found == 90.0
    # Six runs and two controls, two at a time: four times 90 s, and the start of the workers.
    assert said == (
        "toy: 8 runs to make (2 of them controls), about 6 min on 2 workers (estimated from a few updates of one run, "
        "with 4.0 s for workers to start)\n"
    )


def test_the_command_says_it_before_it_begins_and_how_far_it_is_in_plain_lines(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINES_EVERY", 0.0)
    tiny = ("demo", "--scale", "smoke", "--set", "data.train=128", "--set", "data.test=50", "--workers", "1")
    words = ("study", *tiny, "--k", "1,3", "--seeds", "1", "--uncontrolled", "--out", str(tmp_path / "study"))
    app(list(words), standalone_mode=False)
    said = capsys.readouterr()
    first, *lines = said.err.splitlines()
    assert re.fullmatch(
        r"demo: 2 runs to make, about \S+ \S+ on 1 worker \(estimated from a few updates of one run, with 4.0 s .*\)",
        first,
    )
    assert lines[0] == "demo: starting 1 worker"
    assert re.fullmatch(r"demo: 2 of 2 trials, .* elapsed, about 0:00:00 left, last seed 1, k=3", lines[-1])
    assert "\r" not in said.err
    assert said.out.splitlines()[0].startswith("demo: Without controls: ")  # the verdict comes first


def test_tiny_runs_take_as_long_as_workers_take_to_start(tmp_path, capsys):
    assert ", about 4.4 s on 2 workers" in announced(tmp_path, capsys, 0.1)[1]  # four times 0.1 s
    assert ", about 16 s on 8 workers" in announced(tmp_path, capsys, 0.1, workers=8)[1]  # four to a core


def test_what_nobody_can_know_is_reported_as_unknown(tmp_path, capsys):
    found, said = announced(tmp_path, capsys, None, workers=1)
    assert found is None
    assert said == (
        "toy: 8 runs to make (2 of them controls) on 1 worker; how long they take is known when the first has ended\n"
    )


def test_nothing_is_reported_where_nothing_is_to_be_run(tmp_path, capsys):
    assert announced(tmp_path, capsys, 90.0, run=True) == (None, "")


def test_above_an_hour_a_terminal_is_asked(tmp_path, capsys, terminal):
    answers, asked = terminal
    answers += [True]
    assert announced(tmp_path, capsys, 899.5)[0] == 899.5  # four times, with the start of the workers: 3602 s
    assert asked == ["Go on?"]
    answers += [False]
    with pytest.raises(StoppedCommandError, match="not begun; with --yes it begins without a question"):
        announced(tmp_path, capsys, 900.5)
    assert announced(tmp_path, capsys, 900.5, yes=True)[0] == 900.5
    assert announced(tmp_path, capsys, 899.0)[0] == 899.0  # an hour, and not above
    assert len(asked) == 2


def test_a_no_to_the_rest_says_that_the_first_is_kept(capsys, terminal):
    terminal[0].append(False)
    with pytest.raises(
        StoppedCommandError, match=r"^stopped; what is stored is kept, and the same command given again continues"
    ):
        announce_rest("toy", 3601.0, Answers(yes=False))


@pytest.mark.parametrize(
    ("stored", "said"),
    [(0, "8 runs to make (2 of them controls)"), (1, "7 runs to make (1 of them a control, 1 more is stored already)")],
)
def test_runs_are_counted_in_words_that_fit(tmp_path, capsys, stored, said):
    study = lb.Study(tmp_path / "toy", train, noises=[lb.Scale(1), lb.Scale(3)], seeds=(1, 2, 3), name="toy")
    for trial in [pair[0] for pair in study.control_trials().values()][:stored]:
        study.store.describe(study.description())
        run_trial(train, trial, study.store.root, "cpu")
    announce_study(study, executors=Executors(2, None), run_seconds=lambda: None, answers=Answers(yes=False))
    assert said in capsys.readouterr().err


def test_without_a_terminal_it_goes_on_and_has_said_it(tmp_path, capsys):
    found, said = announced(tmp_path, capsys, 1e6)
    assert found == 1e6
    assert "about 46 days on 2 workers" in said


def test_a_recipe_is_timed_by_its_first_updates(tmp_path):
    """Beside three runs of it, within a factor that a busy machine may make of itself."""
    changes = ("data.train=512", "data.test=100", "epochs=4")
    training = RecipeTraining(load_recipe("demo", scale="smoke", changes=changes))
    estimated = recipe_seconds(training)
    ratios = []
    for number in range(3):
        recorder, begun = Recorder(Trial({}, 1, lb.Scale(1)), tmp_path / str(number)), time.monotonic()
        with repeatable_numerics():
            training(recorder)
        ratios.append(estimated / (time.monotonic() - begun))
    assert any(1 / 4 < ratio < 4 for ratio in ratios)
