import os

import pytest
from warm import warm_start

from lastbit.script.audit.audit import audit
from lastbit.script.audit.runs import AuditedRun
from lastbit.script.target import Target


@pytest.fixture(scope="session")
def warm(warm_python):
    """A `start` for `audit` that costs no import of torch."""
    return warm_start(warm_python)


@pytest.fixture
def audited(warm, tmp_path, monkeypatch):
    """Audit a program given by its source."""

    def run(source, **options):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PWD", str(tmp_path))
        (tmp_path / "train.py").write_text(source)
        (tmp_path / "record").mkdir()
        return audit(Target("file", "train.py"), tmp_path / "record", start=warm, **options)

    return run


@pytest.fixture
def alone(warm, tmp_path):
    """Run what was audited by itself; its exit code and all it prints."""

    def run():
        output = tmp_path / "alone.txt"
        process = warm(AuditedRun(Target("file", "train.py"), 0, {}, dict(os.environ), output))
        return process.wait(), output.read_text()

    return run
