"""What `--help` says: one screen, an example of every command that is a command, and completion."""

import os
import re
import shlex
import subprocess
import sys

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from lastbit.cli.commands import app

SCREEN = 36  # lines; of 80 columns


def leaves(command, path=()):
    if isinstance(command, TyperGroup):
        return [leaf for name, sub in command.commands.items() for leaf in leaves(sub, (*path, name))]
    return [(path, command)]


COMMANDS = dict(leaves(get_command(app)))
GROUPS = [(), *sorted({path[:-1] for path in COMMANDS if len(path) > 1})]


def examples(command):
    """The arguments of each command line between backticks after `Example`."""
    return [shlex.split(line)[1:] for line in re.findall(r"`(lastbit [^`]+)`", command.help.partition("Example")[2])]


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_a_groups_help_fits_one_screen_with_a_line_for_each_command(lastbit, monkeypatch, group):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = lastbit(*group, "--help")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80
    names = {path[len(group)] for path in COMMANDS if path[: len(group)] == group}
    described = [line for line in lines if re.match(r"│ [a-z]+ +[A-Z]", line)]
    assert {line.split()[1] for line in described} == names


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_commands_help_shows_an_example(lastbit, path):
    code, out, err = lastbit(*path, "--help")
    assert (code, err) == (0, "")
    assert "Example" in out
    assert f"lastbit {' '.join(path)}" in out.partition("Example")[2]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_example_is_a_command_line_that_is_understood(path):
    found = examples(COMMANDS[path])
    assert found
    for line in found:
        assert tuple(line[: len(path)]) == path
        # Raises where an option is unknown, a value of the wrong type or an argument missing.
        COMMANDS[path].make_context(" ".join(path), line[len(path) :])


def test_a_wrong_example_would_be_found():
    with pytest.raises(Exception, match="No such option"):
        COMMANDS["check",].make_context("check", ["--frobnicate", "runs/demo"])


def completed(**variables):
    done = subprocess.run(
        [sys.executable, "-c", "from lastbit.cli.main import main; import sys; sys.argv[0] = 'lastbit'; main()"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_there_is_a_completion_script_that_bash_understands():
    script = completed(_LASTBIT_COMPLETE="source_bash")
    assert "complete -o default -F _lastbit_completion lastbit" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_a_shell_completes_commands():
    said = completed(_LASTBIT_COMPLETE="complete_bash", COMP_WORDS="lastbit sh", COMP_CWORD="1")
    assert said.split() == ["sharpness"]
