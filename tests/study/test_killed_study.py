"""A study whose parent is killed: orphans die, and the next start goes on to the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_training
from test_study import contents, make

from lastbit.execution.pool import local_pool

PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores in what it runs in the background
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_study import make
from toy_training import Slow
from lastbit.execution.pool import local_pool
if __name__ == "__main__":
    with local_pool(2) as pool:
        make(Path({out!r}), Slow(Path({marks!r}), 0.4)).run(pool)
"""


def wait_until(condition, seconds=60.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def start(tmp_path, python):
    (tmp_path / "marks").mkdir(exist_ok=True)
    program = tmp_path / "program.py"
    tests = str(Path(__file__).parent)
    program.write_text(PROGRAM.format(tests=tests, out=str(tmp_path / "study"), marks=str(tmp_path / "marks")))
    return python.Popen([sys.executable, str(program)], process_group=0, stderr=subprocess.DEVNULL)


def finished(tmp_path):
    return list((tmp_path / "study" / "trials").glob("*/done.json"))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_study_stopped_at_any_time_ends_in_the_bytes_of_an_undisturbed_one(tmp_path, end, warm_python):
    process = start(tmp_path, warm_python)
    wait_until(lambda: len(finished(tmp_path)) >= 2)
    if end == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, end)  # as a terminal does: to parent and workers alike
    process.wait(30)
    begun = len(list((tmp_path / "marks").iterdir()))
    time.sleep(1.0)
    assert len(list((tmp_path / "marks").iterdir())) == begun, "an orphaned worker goes on"
    before = {file: file.stat().st_mtime_ns for file in finished(tmp_path)}
    assert 2 <= len(before) < 8
    training = toy_training.Slow(tmp_path / "marks", 0.0)
    with local_pool(1) as pool:
        make(tmp_path / "study", training).run(pool)
    assert {file: file.stat().st_mtime_ns for file in before} == before, "a finished trial ran again"
    make(tmp_path / "whole", training).run()
    assert contents(tmp_path / "study") == contents(tmp_path / "whole")
    assert not (tmp_path / "study" / "running").exists()
