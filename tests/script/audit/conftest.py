import sys

import pytest

from lastbit.script.audit import runs
from lastbit.script.audit.audit import audit
from lastbit.script.target import Target


@pytest.fixture
def audited(tmp_path, monkeypatch):
    """Audit a program given by its source."""

    def run(source, **options):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PWD", str(tmp_path))
        (tmp_path / "train.py").write_text(source)
        (tmp_path / "record").mkdir()
        return audit(Target("file", "train.py"), tmp_path / "record", **options)

    return run


@pytest.fixture
def alone(tmp_path):
    """Run what was audited by itself; its exit code and all it prints."""

    def run():
        output = tmp_path / "alone.txt"
        to = runs.subprocess  # that of the audit, whose processes have imported the same libraries
        with output.open("wb") as file:
            process = to.Popen([sys.executable, "train.py"], stdin=to.DEVNULL, stdout=file, stderr=to.STDOUT)
        return process.wait(), output.read_text()

    return run
