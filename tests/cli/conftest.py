import sys

import pytest

from lastbit.cli.main import main


@pytest.fixture
def lastbit(monkeypatch, capsys):
    """Run the command in this process; give its exit status, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lastbit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run
