"""The script that counts what damage does, with little of it; docs/storage.md has the counts of more.

What kill -9 does is tested by `tests/study/test_killed_study.py`, and counted by the scripts beside this file.
"""

import damage


def test_damage_is_named_and_never_used():
    found = damage.measure(12, seed=2)
    assert found.done.total() == found.named == 12
    assert found.used == 0
    assert found.refused + found.unread == 12
    assert found.refused > 0
