import sys
from functools import partial

import pytest

from lastbit.cli import progress
from lastbit.cli.cost import Answers
from lastbit.cli.main import main
from lastbit.script import training


@pytest.fixture(autouse=True)
def _one_probe(monkeypatch):
    """One fingerprint for all tests, in whose environments only a name differs."""
    monkeypatch.setattr(training, "probed", partial(_probed, training.probed))


def _probed(probed, environment):
    return probed(tuple(item for item in environment if item[0] != "PYTEST_CURRENT_TEST"))


@pytest.fixture
def lastbit(monkeypatch, capsys):
    """Run the command in this process; give its exit status, standard output and standard error.

    What it takes and how far it is are not said: that depends on the machine, and has tests of its own.
    """
    monkeypatch.setattr(Answers, "say", lambda answers, text: None)
    monkeypatch.setattr(progress, "LINES_EVERY", float("inf"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lastbit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run
