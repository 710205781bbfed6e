"""A script that starts a study with workers, with and without `if __name__ == "__main__":`."""

import sys

import pytest

from lastbit.storage.files import read_checksummed

TRAIN = """
import lastbit as lb

def train(run):
    run.log(1, test_accuracy=80.0 + run.seed)

"""
CALL = "print(lb.Study('study', train, noises=[lb.Scale(1), lb.Scale(3)], seeds=(1, 2)).run(workers=1).verdict)\n"
ONE_TRIAL = CALL.replace(", lb.Scale(3)], seeds=(1, 2)", "], seeds=(1,), controlled=False")


@pytest.fixture
def run(tmp_path, warm_python, real_processes):
    """Run a script in a forked process; its workers are started as they are for users."""

    def ended(text):
        (tmp_path / "script.py").write_text(text)
        return warm_python.run([sys.executable, "script.py"], cwd=tmp_path)

    return ended


def test_without_the_guard_the_script_is_told_what_it_lacks(run):
    ended = run(TRAIN + ONE_TRIAL)
    assert ended.returncode == 1
    assert "InUseError" not in ended.stderr
    assert 'call it under `if __name__ == "__main__":`' in ended.stderr.splitlines()[-1]


def test_with_it_the_study_ends_and_keeps_its_results_for_reports(tmp_path, run):
    ended = run(TRAIN + 'if __name__ == "__main__":\n    ' + CALL)
    assert ended.returncode == 0, ended.stderr
    stored = read_checksummed(tmp_path / "study" / "results.json")
    assert stored["verdict"] == ended.stdout.strip()
    assert len(stored["trials"]) == 4
