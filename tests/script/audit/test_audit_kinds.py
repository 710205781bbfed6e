"""Programs with tensors of every kind run under the audit as they do by themselves."""

import pytest
from kinds import KINDS


@pytest.mark.parametrize("name", KINDS)
def test_an_audited_program_does_what_it_does_alone(audited, alone, tmp_path, name):
    found = audited(KINDS[name])
    assert found.first_difference is None
    assert alone() == (0, (tmp_path / "record" / "a" / "output.txt").read_text())
