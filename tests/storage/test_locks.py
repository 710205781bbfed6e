"""A lock is seen without a trace, and its file is removed only by whoever holds it."""

import os
import threading

import pytest

from lastbit.storage.locks import is_held, lock_if_free, trial_lock


def test_a_look_writes_nothing_and_tells_free_from_held(tmp_path):
    path = tmp_path / "trial.lock"
    assert not is_held(path)
    assert not path.exists()
    with trial_lock(path):
        assert is_held(path)
    path.chmod(0o400)
    assert not is_held(path)
    assert path.read_bytes() == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only directory")
def test_a_lock_in_a_read_only_directory_can_be_seen(tmp_path):
    (tmp_path / "trial.lock").touch(0o444)
    tmp_path.chmod(0o555)
    try:
        assert not is_held(tmp_path / "trial.lock")
    finally:
        tmp_path.chmod(0o755)


def test_a_lock_is_taken_only_where_it_is_free(tmp_path):
    path = tmp_path / "trial.lock"
    with lock_if_free(path) as first:
        with lock_if_free(path) as second:
            assert (first, second) == (True, False)
        assert is_held(path), "the second has not let go of the first's lock"
    assert not is_held(path)


def test_who_waits_for_a_lock_that_is_removed_holds_the_file_that_others_see(tmp_path):
    path = tmp_path / "trial.lock"
    held, end = threading.Event(), threading.Event()

    def wait():
        with trial_lock(path):
            held.set()
            end.wait(10)

    waiting = threading.Thread(target=wait)
    with lock_if_free(path) as free:
        assert free
        waiting.start()
        assert not held.wait(0.3)
        path.unlink()
    try:
        assert held.wait(10)
        assert is_held(path)
    finally:
        end.set()
        waiting.join(10)
