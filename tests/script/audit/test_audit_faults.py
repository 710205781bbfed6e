import pytest
from kinds import KINDS

from faults import FAULTS


def test_enough_kinds_of_faults_are_planted():
    assert len(FAULTS) >= 20


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(audited, name):
    fault = FAULTS[name]
    found = audited(fault.source, threads=fault.threads).first_difference
    assert found is not None
    assert (found.op, found.line, found.phase, found.kind, found.module, found.step) == (
        fault.op,
        f"train.py:{fault.line}",
        fault.phase,
        fault.kind,
        fault.module,
        fault.step,
    ), found
    assert fault.cause in found.cause
    assert found.cure


@pytest.mark.parametrize("name", KINDS)
def test_an_audited_program_does_what_it_does_alone(audited, alone, tmp_path, name):
    found = audited(KINDS[name])
    assert found.first_difference is None
    assert alone() == (0, (tmp_path / "record" / "a" / "output.txt").read_text())
