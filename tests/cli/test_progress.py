"""Progress without a terminal is in plain lines, and tells epochs and the time left."""

import io

import pytest

import lastbit as lb
from lastbit.cli import progress
from lastbit.cli.output import SafeConsole
from lastbit.study import Outcome, Trial
from lastbit.study.recorder import Underway, underway


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes when it is told to."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def outcome(seed, seconds, error=None):
    return Outcome(Trial({}, seed, lb.Scale(3)), error, seconds=seconds)


def test_lines_come_once_a_minute_and_where_a_trial_has_ended(clock, capsys):
    with progress.progress_bar("demo", "trials", 14) as show:
        for clock[0], done, left in ((5, 1, 65), (12, 2, 60), (15, 3, 55), (60, 3, 50), (73, 3, 40)):
            show(done=done, left=left, remark=f"epoch {done} of 3 in progress")
    assert capsys.readouterr().err.splitlines() == [
        "demo: 2 of 14 trials, 0:00:12 elapsed, about 0:01:00 left, epoch 2 of 3 in progress",
        "demo: 3 of 14 trials, 0:01:00 elapsed, about 0:00:50 left, epoch 3 of 3 in progress",
    ]


def test_steps_are_no_lines_of_their_own(clock, capsys):
    estimates = []
    with progress.step_progress("demo", 1000, estimates.append) as on_step:
        for step in range(1, 131):
            clock[0] = step - 1
            on_step(step, f"loss {step}")
    assert capsys.readouterr().err.splitlines() == [
        "demo: 61 of 1,000 steps, 0:01:00 elapsed, about 0:15:39 left, loss 61",
        "demo: 121 of 1,000 steps, 0:02:00 elapsed, about 0:14:39 left, loss 121",
    ]
    assert estimates == [994]  # after five seconds, by one step a second


def test_the_time_left_is_that_of_the_trials_to_come_less_what_they_have_behind_them(clock, capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINES_EVERY", 0.0)
    monkeypatch.setattr(progress, "_LOOK_EVERY", 1e9)
    told = []
    half = Underway((5, 5), (), 10)
    with progress.trial_progress("demo", 5, lambda: 2, lambda: half, on_estimate=told.append) as on_trial:
        on_trial(outcome(1, 20.0))  # 4 to come, of which two are half done: 3 trials of 20 s on two workers
        on_trial(outcome(2, 40.0))
    assert capsys.readouterr().err.splitlines() == [
        "demo: 1 of 5 trials, 0:00:00 elapsed, about 0:00:30 left, epoch 5 of 10 in progress, last seed 1, k=3",
        "demo: 2 of 5 trials, 0:00:00 elapsed, about 0:00:30 left, epoch 5 of 10 in progress, last seed 2, k=3",
    ]
    assert told == [30.0]


def test_nothing_is_estimated_from_a_trial_that_failed(clock, monkeypatch):
    monkeypatch.setattr(progress, "_LOOK_EVERY", 1e9)
    told = []
    with progress.trial_progress("demo", 5, lambda: 1, lambda: Underway((), ()), on_estimate=told.append) as on_trial:
        on_trial(outcome(1, 1.0, "no such file"))
        assert told == []
        on_trial(outcome(2, 40.0))
        on_trial(outcome(3, 50.0))
    assert told == [120.0]  # three to come


def test_a_terminal_is_given_a_bar_that_makes_way_for_a_question(monkeypatch):
    drawn = io.StringIO()
    monkeypatch.setattr(progress, "SafeConsole", lambda **_: SafeConsole(file=drawn, force_terminal=True, width=120))
    with progress.step_progress("demo", 1000, lambda left: drawn.write("A QUESTION")) as on_step:
        for step in range(12):
            on_step(step)
    assert "A QUESTION" in drawn.getvalue()
    assert "steps," in drawn.getvalue().partition("A QUESTION")[2]


@pytest.mark.parametrize(
    ("logs", "epochs", "said", "share"),
    [
        (['{"epoch": 1, "step": 8}\n{"epoch": 2, "step": 16}\n{"epo'], 4, "epoch 2 of 4 in progress", 0.5),
        (['{"epoch": 2, "step": 8}\n', '{"epoch": 3, "step": 9}\n', ""], 4, "epoch 2 to 3 of 4 in progress", 1.25),
        (['{"step": 1200, "loss": 1}\n'], None, "step 1,200 in progress", 0.0),
        (["no JSON\n", ""], 4, "", 0.0),
        ([], 4, "", 0.0),
    ],
)
def test_trials_in_progress_tell_their_epochs(tmp_path, logs, epochs, said, share):
    for number, text in enumerate(logs):
        place = tmp_path / "running" / str(number)
        place.mkdir(parents=True)
        (place / "metrics.jsonl").write_text(text)
    found = underway(tmp_path, epochs=epochs)
    assert (str(found), found.share) == (said, share)
