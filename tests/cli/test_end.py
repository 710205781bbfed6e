"""How a command ends: a person's error in one line, a fault of lastbit's own with its traceback."""

import errno
from importlib.metadata import version

import pytest
import torch

from lastbit.cli import commands
from lastbit.errors import LastbitError, LastbitTypeError


@pytest.fixture
def ending(lastbit, monkeypatch):
    """Run a command that raises what is given."""

    def run(error):
        def raises(**options):
            raise error

        monkeypatch.setattr(commands, "app", raises)
        return lastbit("study")

    return run


@pytest.mark.parametrize("kind", [LastbitError, LastbitTypeError])
def test_a_persons_error_is_one_line(ending, kind):
    assert ending(kind("lr = -1: give\nmore than 0")) == (2, "", "lastbit: lr = -1: give more than 0\n")


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("not aligned"), TypeError("a list"), KeyError("seed"), ZeroDivisionError("by zero")),
        *(RuntimeError("no kernel"), AssertionError("never"), FileNotFoundError(errno.ENOENT, "no such file", "x")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_anything_else_is_a_fault_of_our_own_with_its_traceback(ending, error):
    code, out, err = ending(error)
    assert (code, out) == (1, "")
    assert err.startswith("Traceback (most recent call last):\n")
    *_, raised, said = err.splitlines()
    assert raised.startswith(type(error).__name__)
    assert said.startswith("lastbit: this is a fault of lastbit's own and not of what you gave. Please report it ")
    assert f"lastbit {version('lastbit')}, torch {torch.__version__.partition('+')[0]}" in said
    assert "with the traceback above" in said


@pytest.mark.parametrize(
    ("error", "code", "last"),
    [
        (LastbitError("lr = -1"), 2, "lastbit: lr = -1"),
        (KeyboardInterrupt(), 130, "lastbit: stopped"),
        (MemoryError(), 1, "lastbit: not enough memory: choose smaller sizes"),
        (OSError(errno.ENOSPC, "No space left", "runs/x"), 1, "lastbit: runs/x: No space left"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("debug", ["1", "0", "", None])
def test_every_traceback_is_shown_on_request_only(ending, monkeypatch, error, code, last, debug):
    monkeypatch.delenv("LASTBIT_DEBUG", raising=False)
    if debug is not None:
        monkeypatch.setenv("LASTBIT_DEBUG", debug)
    ended, out, err = ending(error)
    assert (ended, out, err.splitlines()[-1]) == (code, "", last)
    assert err.startswith("Traceback") == (debug == "1")
    assert err.count(last) == 1


def test_a_fault_shows_its_traceback_once(ending, monkeypatch):
    monkeypatch.setenv("LASTBIT_DEBUG", "1")
    assert ending(ValueError("ours"))[2].count("Traceback") == 1


def test_a_fault_in_the_midst_of_a_command_is_no_error_of_a_person(lastbit, monkeypatch):
    def broken(*arguments, **options):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr("lastbit.pde.heat.simulate", broken)
    code, out, err = lastbit("pde", "heat", "--dt", "0.1")
    assert (code, out) == (1, "")
    assert "ValueError: operands could not be broadcast together\nlastbit: this is a fault of lastbit's own" in err


@pytest.mark.parametrize("group", [(), ("pde",), ("paper",), ("recipe",), ("data",)], ids=" ".join)
def test_a_group_alone_shows_its_help_and_complains_of_nothing(lastbit, group):
    code, out, err = lastbit(*group)
    assert (code, err) == (2, "")
    assert f"Usage: {' '.join(('lastbit', *group))} [OPTIONS] COMMAND" in out
    assert out.strip() == lastbit(*group, "--help")[1].strip()
