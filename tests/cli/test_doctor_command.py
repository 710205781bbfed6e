import json

import pytest

from lastbit.cli.doctor import _STYLES
from lastbit.cli.doctor_checks import Examination
from lastbit.execution.repeatability import Check, Condition

FIT = Examination("cpu", {"torch": "2.13.0", "mkl": None}, [Check("repeat", Condition.OK, "The same bits.")])
UNFIT = Examination("cpu", {}, [*FIT.checks, Check("k=2 [red]", Condition.FAILS, "Changed [/] bits.")])


def found(monkeypatch, examination):
    def examined(device, *, root, on_step):
        assert device == "cpu"
        on_step()
        return examination

    monkeypatch.setattr("lastbit.cli.doctor_checks.examine", examined)


def test_a_fit_machine_is_said_to_be_fit(lastbit, monkeypatch):
    found(monkeypatch, FIT)
    code, out, err = lastbit("doctor")
    assert (code, err) == (0, "")
    assert "2.13.0" in out
    assert out.rstrip().endswith("This machine is fit.")


def test_what_fails_is_reported_and_ends_with_1(lastbit, monkeypatch):
    found(monkeypatch, UNFIT)
    code, out, _ = lastbit("doctor", "--device", "cpu")
    assert code == 1
    assert "Changed [/] bits." in out
    assert out.rstrip().endswith("This machine is not fit for studies: k=2 [red].")


def test_json_holds_all_of_it_and_stands_alone(lastbit, monkeypatch):
    found(monkeypatch, UNFIT)
    code, out, _ = lastbit("doctor", "--json", "-")
    assert code == 1
    content = json.loads(out)
    assert content == UNFIT.as_json()
    assert content["fit"] is False
    assert [check["outcome"] for check in content["checks"]] == ["OK", "fails"]


def test_a_device_that_is_not_here_is_refused(lastbit):
    code, out, err = lastbit("doctor", "--device", "cuda:99")
    assert (code, out) == (2, "")
    assert "device 'cuda:99' is not here" in err


@pytest.mark.parametrize("outcome", list(Condition))
def test_each_outcome_has_a_style_and_a_word(outcome):
    assert _STYLES[outcome]
    assert str(outcome).strip()
