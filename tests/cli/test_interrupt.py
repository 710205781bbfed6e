"""Ctrl-C, once and twice, in the midst of every command that runs trials; each goes on to the bytes of a whole run."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lastbit.cli.output import StoppedCommandError
from lastbit.cli.workers import gentle_interrupts
from lastbit.execution.dispatch import Watched
from lastbit.study import StoppedError

TINY = ("demo", "--scale", "smoke", "--set", "data.train=256", "--set", "data.test=100", "--k", "1,3", "--seeds", "1")

SCRIPT = """
import time, torch
weight = torch.ones(1, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=0.1)
for step in range(3):
    weight.square().sum().backward()
    optimizer.step()
time.sleep(0.7)
"""


@contextmanager
def interrupted(condition, times):
    """Send Ctrl-C to this process that many times, with a pause, once the condition holds."""
    sent = []

    def send():
        limit = time.monotonic() + 60
        while not condition() and time.monotonic() < limit:
            time.sleep(0.02)
        for _ in range(times):
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    thread = threading.Thread(target=send)
    thread.start()
    before = signal.getsignal(signal.SIGINT)
    yield sent
    thread.join()
    assert signal.getsignal(signal.SIGINT) == before


def stored(directory):
    return {path.parent.name: path.read_bytes() for path in Path(directory).glob("trials/*/done.json")}


def interrupted_in(tmp_path, program, **environment):
    """How a process ends that gets Ctrl-C as soon as it says on standard output that it waits; and what it says."""
    # A shell has commands in the background ignore it, and so what they begin, such as these tests.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    words = [sys.executable, "-c", heard + program]
    begun = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )
    assert begun.stdout.readline() == "waits\n"
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=60)
    return begun.returncode, out, err


MAIN = "import sys; sys.argv = ['lastbit', 'recipe', 'list']; from lastbit.cli.main import main; main()"


@pytest.mark.parametrize(
    ("module", "command"), [("torch", ["doctor"]), ("typer", ["recipe", "list"]), ("rich", ["-h"])]
)
def test_while_modules_are_imported_it_stops_at_once(tmp_path, module, command):
    (tmp_path / f"{module}.py").write_text("import time\nprint('waits', flush=True)\ntime.sleep(60)\n")
    program = MAIN.replace("'recipe', 'list'", ", ".join(map(repr, command)))
    assert interrupted_in(tmp_path, program, PYTHONPATH=str(tmp_path)) == (130, "", "lastbit: stopped\n")


def test_while_the_interpreter_ends_it_stops_at_once(tmp_path):
    slow = "import atexit, time; atexit.register(lambda: (print('waits', flush=True), time.sleep(60)))\n"
    quiet = MAIN.replace("['lastbit', 'recipe', 'list']", "['lastbit', 'report', 'nowhere']")
    ended = interrupted_in(tmp_path, slow + quiet)
    assert ended == (130, "", "lastbit: there is no directory nowhere\nlastbit: stopped\n")


def test_a_process_that_ignores_it_goes_on_to_do_so(tmp_path):
    program = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('waits', flush=True)\n{MAIN}"
    code, _, err = interrupted_in(tmp_path, program)
    assert (code, err) == (0, "")


def test_a_worker_that_imports_torch_says_nothing(tmp_path):
    (tmp_path / "slow.py").write_text("import time\nprint('waits', flush=True)\ntime.sleep(0.5)\n")
    (tmp_path / "program.py").write_text(
        "import signal\nfrom lastbit.execution.pool import local_pool\nimport job\n"
        "if __name__ == '__mp_main__':\n    import slow\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, lambda *_: None)\n"
        "    with local_pool(1) as pool:\n        assert pool.submit(job.work, 2).result() == 4\n"
    )
    (tmp_path / "job.py").write_text("def work(x):\n    return x * x\n")
    words = [sys.executable, str(tmp_path / "program.py")]
    begun = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert begun.stdout.readline() == "waits\n"  # before the worker can ignore anything
    os.killpg(begun.pid, signal.SIGINT)  # as a terminal does
    out, err = begun.communicate(timeout=60)
    assert (begun.returncode, out, err) == (0, "", "")


def test_once_finishes_what_runs_says_so_and_the_study_goes_on(lastbit, tmp_path):
    words = ("study", *TINY, "--workers", 1, "--out", tmp_path / "study")
    with interrupted(lambda: stored(tmp_path / "study"), 1):
        code, out, err = lastbit(*words)
    assert (code, out) == (130, "")
    said = err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("finishing seed ")
    assert said[0].endswith("; nothing more is begun, Ctrl-C again stops now")
    assert said[1] == "lastbit: stopped before all trials were stored; give the same command again: it continues"
    before = stored(tmp_path / "study")
    assert 1 <= len(before) < 4
    assert lastbit(*words)[0] == 0
    after = stored(tmp_path / "study")
    assert {name: after[name] for name in before} == before
    assert len(after) == 4


def test_scripts_are_finished(lastbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (tmp_path / "script.py").write_text(SCRIPT)
    words = ("run", "--uncontrolled", "--k", "1,3,5", "--workers", 1, "--out", "study", "--", "script.py")
    with interrupted(lambda: list(Path("study").glob("running/*/weights/*")), 1):
        code, out, err = lastbit(*words)
    assert (code, out) == (130, "")
    assert "finishing seed 1, k=1; nothing more is begun" in err
    assert len(stored("study")) == 1
    assert not (Path("study") / "failed").exists()


def test_the_papers_items_are_finished_or_left(lastbit, tmp_path):
    words = ("paper", "run", "table3", "figure1", "--scale", "smoke", "--workers", 1, "--out", tmp_path / "kept")
    with interrupted(lambda: (tmp_path / "kept" / "index.json").exists(), 1):
        code, _, err = lastbit(*words)
    assert code == 130
    assert "nothing more is begun" in err
    assert (
        err.splitlines()[-1] == "lastbit: stopped before all items were done; give the same command again: it continues"
    )
    assert not list((tmp_path / "kept").glob("*.txt"))


def test_a_second_interrupt_breaks_the_block_off():
    inside = threading.Event()
    with ThreadPoolExecutor(1) as pool, interrupted(inside.is_set, 2), pytest.raises(KeyboardInterrupt):  # noqa: SIM117, PT012
        with gentle_interrupts(Watched(pool)):
            inside.set()
            time.sleep(30)


def test_a_block_that_is_not_interrupted_is_left_alone(capsys):
    with ThreadPoolExecutor(1) as pool, gentle_interrupts(Watched(pool)):
        assert pool.submit(pow, 2, 3).result() == 8
    assert capsys.readouterr().err == ""


def test_a_study_that_was_stopped_ends_the_command():
    message = "at last; give the same command again: it continues"
    with ThreadPoolExecutor(1) as pool, pytest.raises(StoppedCommandError, match=message):  # noqa: SIM117
        with gentle_interrupts(Watched(pool)):
            raise StoppedError("at last")
