"""Every subcommand with odd values and options, through its own parsing and checking, up to where work would begin."""

import random
import shutil
import socket

import pytest
import typer
from fuzzing import SCALARS, BegunError, inputs, run
from hypothesis import given
from hypothesis import strategies as st

from lastbit.cli import commands as program

# Where real work begins, after all that is parsed and checked.
WORK = [
    *("lastbit.cli.run_study.run_study", "lastbit.cli.run_study.run_trials"),
    *("lastbit.script.audit.audit.audit", "lastbit.training.twins.run_twins", "lastbit.cli.doctor_checks.examine"),
    *("lastbit.cli.paper_run.run_pending", "lastbit.training.data.fetching.fetch"),
    *("lastbit.training.sharpness.series.OpenSeries.run", "lastbit.explore.serve.serve"),
    "lastbit.script.trace.recording.record_trace",
]
WORDS = ["demo", "fc-fashion-5k", "nowhere", "train.py", "fig5", "all", "cifar10", "cpu", "cuda", "smoke", "memory://x"]
NUMBERS = [
    *("0", "1", "3", "7", "-1", "1.5", "nan", "inf", "-inf", "1e-9", "1e308"),
    *("1,3", "1-3", "3-1", "1:2:3", "0:1:2:log"),
]
TEXTS = [str(value) for value in SCALARS if "\0" not in str(value)]
# What decides how long a simulation takes.
LARGE = {"--size", "--steps", "--points", "--kernel", "--snapshots", "--fidelity", "--factor", "--dt", "--epsilon"}


def commands(group, path=()):
    """Every command that does something, with its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = sorted(commands(typer.main.get_command(program.app)), key=lambda found: found[0])


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """A directory with a script, and no work."""

    def begin(*arguments, **options):
        for each in arguments:
            if isinstance(each, socket.socket):
                each.close()
        raise BegunError

    directory = tmp_path_factory.mktemp("place")
    (directory / "train.py").write_text("print(1)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("LASTBIT_DATA", str(directory / "data"))
        for name in WORK:
            patch.setattr(name, begin)
        yield directory
    shutil.rmtree(directory)


def odd(chance, name):
    """A value for an option or argument: often a number or a name that could be meant, else anything."""
    if name in LARGE:
        return chance.choice(("1", "2", "8", "0", "-1", "x", "nan", "", "1.5", "9" * 30))
    pool = chance.choice((NUMBERS, NUMBERS, WORDS, TEXTS))
    return chance.choice(pool)


def command_line(chance):
    words, command = chance.choice(COMMANDS)
    line = []
    for parameter in command.params:
        options = [name for name in parameter.opts if name.startswith("--")]
        if not options and chance.random() < 0.9:
            line.append(odd(chance, parameter.name))
        elif options and chance.random() < 0.3:
            line += options[:1] if getattr(parameter, "is_flag", False) else [options[0], odd(chance, options[0])]
    if chance.random() < 0.1:
        line.insert(
            chance.randrange(len(line) + 1), chance.choice(("--nonsense", "--", "-h", "--json", odd(chance, "")))
        )
    # A simulation's cost is its size: those that were not given stay small.
    small = [["--size", "8"], ["--kernel", "3"], ["--steps", "3"], ["--points", "8"]] if words[0] == "pde" else []
    known = {name for parameter in command.params for name in parameter.opts}
    return [*words, *(part for pair in small if pair[0] in known - set(line) for part in pair), *line]


@given(seed=st.integers(0, 2**32))
@inputs(2700)
def test_command_lines(seed):
    line = command_line(random.Random(seed))
    try:
        ended = run(*line)
    except BegunError:
        return
    assert ended.code in (0, 2) or ended.err.startswith("lastbit: "), (line, ended)
