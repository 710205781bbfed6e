"""Jobs whose answers are kept."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lastbit.paper.item import Work, run_jobs

calls = []


def double(*, n):
    calls.append(n)
    if n == 13:
        raise RuntimeError("unlucky")
    return {"double": 2 * n, "gone": float("nan")}


@pytest.mark.parametrize("helped", [False, True])
def test_answers_come_in_order_and_are_not_computed_again(tmp_path, helped):
    calls.clear()
    with ThreadPoolExecutor(2) as pool:
        work = Work(tmp_path, pool if helped else None)
        expected = [{"double": 2 * n, "gone": None} for n in (3, 1, 2)]
        assert run_jobs(double, [{"n": n} for n in (3, 1, 2)], work) == expected
        assert run_jobs(double, [{"n": n} for n in (2, 4)], work) == [expected[2], {"double": 8, "gone": None}]
    assert sorted(calls) == [1, 2, 3, 4]


def test_what_was_done_before_a_failure_is_kept(tmp_path):
    calls.clear()
    with pytest.raises(RuntimeError, match="unlucky"):
        run_jobs(double, [{"n": 1}, {"n": 13}], Work(tmp_path))
    run_jobs(double, [{"n": 1}], Work(tmp_path))
    assert calls == [1, 13]
