from dataclasses import replace

from doctor_faults import here

from lastbit.cli.doctor_checks import examine, steps
from lastbit.execution.repeatability import Check, Condition


def test_this_machine_is_fit_for_the_demo(tmp_path):
    called = []
    found = examine("cpu", root=tmp_path, pool=here, on_step=lambda: called.append(1))
    assert found.fit
    assert [check.name for check in found.checks][:5] == ["repeat", "k=2", "k=3", "threads", "matrix product"]
    assert len(called) == steps("cpu")
    assert found.fingerprint["deterministic"] is True
    assert found.fingerprint["threads"] == 1
    plain = found.as_json()
    assert plain["checks"][0] == {
        "name": "repeat",
        "outcome": "OK",
        "said": "The same training in two fresh processes gives the same bits.",
    }
    others = (Condition.OK, Condition.NOTE, Condition.UNCHECKED, Condition.FAILS)
    fits = [replace(found, checks=[*found.checks, Check("x", each, "")]).fit for each in others]
    assert fits == [True, True, True, False]
