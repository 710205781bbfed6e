"""Every option that is a number, with what is none that it could mean: one line and exit status 2, before any work."""

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from lastbit.cli.commands import app

# What a command cannot do without, and what keeps one that would accept the value short.
GIVEN = {
    ("compare",): ("a", "b"),
    ("growth",): ("demo", "--scale", "smoke"),
    ("paper", "run"): ("table3", "--scale", "smoke"),
    ("pde", "beltrami"): ("--points", "8", "--steps", "3"),
    ("pde", "bounds"): ("--size", "8", "--kernel", "3", "--lr", "0.1"),
    ("pde", "cnn"): ("--size", "8", "--kernel", "3", "--steps", "3", "--lr", "0.1"),
    ("pde", "heat"): ("--points", "8", "--steps", "3", "--dt", "0.1"),
    ("pde", "phase"): ("--size", "8", "--kernel", "3", "--steps", "3", "--lr", "0.1:0.2:2", "--weight-decay", "1:2:2"),
    ("remedy",): ("demo", "--noise", "rounding", "--scale", "smoke"),
    ("run",): ("--noise", "rounding", "--", "train.py"),
    ("sharpness",): ("demo", "--scale", "smoke", "--steps", "3"),
    ("study",): ("demo", "--noise", "rounding", "--scale", "smoke"),
    ("worker",): ("tcp://127.0.0.1:1",),
}
HUGE = ("9" * 20, "9" * 400, "9" * 5000)  # Python itself reads no more than 4,300 digits
OF_INTEGERS = ("nan", "inf", "1.5", "-1", "-" + "9" * 20, *HUGE)
OF_FLOATS = ("nan", "inf", "-inf", "1e400", "-1", "")
SIGNED = {"--residual"}  # less than 0 for label 1


def options(group, path=()):
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from options(command, (*path, name))
        else:
            for parameter in command.params:
                kind = parameter.type_descriptor.annotation
                if kind in (int, float) and not getattr(parameter, "is_eager", False):
                    yield (*path, name), parameter.opts[0], kind


BUILT = get_command(app)  # once: it takes longer than what is tested
OPTIONS = list(options(BUILT))
CASES = [
    (path, option, value)
    for path, option, kind in OPTIONS
    for value in (OF_INTEGERS if kind is int else OF_FLOATS)
    if not (option in SIGNED and value == "-1")
]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text("print(1)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lastbit.cli.commands.app", BUILT)
    monkeypatch.setattr("lastbit.cli.run_study.run_study", begun)
    monkeypatch.setattr("lastbit.cli.run_study.run_trials", begun)
    monkeypatch.setattr("lastbit.cli.paper_run.run_pending", begun)
    monkeypatch.setattr("lastbit.training.sharpness.series.OpenSeries.run", begun)
    monkeypatch.setattr("lastbit.training.twins.run_twins", begun)
    monkeypatch.setattr("lastbit.script.audit.audit.audit", begun)
    monkeypatch.setattr("lastbit.execution.worker.serve_workers", begun)


def begun(*arguments, **options):
    raise AssertionError("work has begun")


def test_all_options_that_are_numbers_are_found():
    assert len(OPTIONS) > 50
    assert {(("compare",), "--gain", float), (("growth",), "--steps", int)} <= set(OPTIONS)


@pytest.mark.parametrize(("path", "option", "value"), CASES, ids=lambda value: str(value)[-30:])
def test_a_number_outside_its_meaning_is_one_line(lastbit, path, option, value):
    given = list(GIVEN.get(path, ()))
    if option in given:
        place = given.index(option)
        del given[place : place + 2]
    before, after = (given[: given.index("--")], given[given.index("--") :]) if "--" in given else (given, [])
    code, out, err = lastbit(*path, *before, f"{option}={value}", *after)
    assert (code, out) == (2, "")
    assert err.startswith("lastbit: ")
    assert err.count("\n") == 1
    assert len(err) < 6000
