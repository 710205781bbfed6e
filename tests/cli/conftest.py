import sys

import pytest

from lastbit.cli import progress
from lastbit.cli.cost import Answers
from lastbit.cli.main import main


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
