import os
import subprocess
import sys
from pathlib import Path

import pytest

from lastbit.script.hooks import after_import


def program(body, place):
    """Run a program in a fresh process with a toy library beside it."""
    (place / "toy").mkdir()
    (place / "toy" / "__init__.py").write_text("print('toy runs'); parts = ['whole']\n")
    (place / "toy" / "sub.py").write_text("print('sub runs')\n")
    code = f"from lastbit.script.hooks import after_import\n{body}"
    ended = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def test_acts_once_when_the_library_is_whole_and_before_the_program_goes_on(tmp_path):
    body = """
import sys
after_import("toy", lambda: print("act", sys.modules["toy"].parts))
print("begin")
import toy.sub
import toy
print(toy.__spec__.name)
"""
    assert program(body, tmp_path) == ["begin", "toy runs", "act ['whole']", "sub runs", "toy"]


def test_two_may_wait_for_one_library(tmp_path):
    body = "after_import('toy', lambda: print('a'))\nafter_import('toy', lambda: print('b'))\nimport toy"
    assert program(body, tmp_path) == ["toy runs", "a", "b"]


def test_a_library_that_is_never_imported_or_absent_changes_nothing(tmp_path):
    body = """
after_import("toy", lambda: print("act"))
after_import("no_such_library", lambda: print("act"))
try:
    import no_such_library
except ModuleNotFoundError as error:
    print(error)
"""
    assert program(body, tmp_path) == ["No module named 'no_such_library'"]


def test_acts_at_once_where_the_library_is_there():
    done = []
    after_import("sys", lambda: done.append(1))
    assert done == [1]


INSTRUMENTS = """
from contextlib import contextmanager
from pathlib import Path
from lastbit.script.hooks import at_every_end
from lastbit.script.hooks import on_every_child
steps = []
@contextmanager
def instruments(settings):
    def tell(text):
        with Path("said.txt").open("a") as file:
            file.write(text + "\\n")
    at_every_end(lambda: tell(f"end after {steps}"), lambda command: tell(f"becomes {command}"))
    on_every_child(tell)
    yield
"""
BEGIN = "import instruments, os, sys\nstep = instruments.steps.append\nstep(1)\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    (tmp_path / "instruments.py").write_text(INSTRUMENTS)
    return tmp_path


def ended(place, body):
    """The exit status of a program, and what was said at its end."""
    from lastbit.script import child_command, parse_target

    (place / "train.py").write_text(BEGIN + body + "\n")
    command = child_command(parse_target(["train.py"]), "instruments:instruments", {})
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = Path("said.txt").read_text().splitlines() if Path("said.txt").exists() else []
    return ran.returncode, said


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("pass", 0),
        ("sys.exit()", 0),
        ("sys.exit(0)", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('no data')", 1),
        ("quit()", 0),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", -2),
        ("os._exit(0)", 0),
        ("os._exit(7)", 7),
        ("from os import _exit; _exit(0)", 0),
        ("sys.excepthook = lambda *found: os._exit(5)\n1 / 0", 5),
        ("import signal\nsignal.signal(15, lambda *found: sys.exit(4)); os.kill(os.getpid(), 15)", 4),
        ("import threading; threading.Thread(target=lambda: os._exit(6)).start(); threading.Event().wait()", 6),
    ],
)
def test_the_last_thing_is_done_once_however_a_program_ends(place, body, status):
    assert ended(place, body) == (status, ["end after [1]"])


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(0)"])
def test_a_fork_does_nothing_at_its_end(place, leave):
    body = f"if (child := os.fork()) == 0: {leave}\nos.waitpid(child, 0)"
    assert ended(place, body) == (0, ["os.fork: <module>", "end after [1]"])


@pytest.mark.parametrize(
    "body",
    [
        "import atexit; atexit.register(step, 2)",
        "import atexit; atexit.register(step, 2); sys.exit(0)",
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.05), step(2))).start()",
        "class Late:\n    def __del__(self): pass\ntry:\n    sys.exit(0)\nfinally:\n    step(2)",
    ],
)
def test_what_a_program_does_after_its_last_line_counts(place, body):
    assert ended(place, body) == (0, ["end after [1, 2]"])


def test_becoming_another_program_is_an_end(place):
    assert ended(place, "os.execv(sys.executable, [sys.executable, '-c', 'import sys; sys.exit(9)'])") == (
        9,
        [f"becomes {sys.executable} -c import sys; sys.exit(9)", "end after [1]"],
    )


@pytest.mark.parametrize("call", ["execv('./such', ['such'])", "execve('./such', ['such'], {})"])
def test_becoming_a_program_that_is_not_there_is_no_end(place, call):
    body = f"try: os.{call}\nexcept OSError: step(2)"
    assert ended(place, body) == (0, ["becomes such", "end after [1]", "becomes None", "end after [1, 2]"])


def test_a_program_is_looked_for_in_several_places(place):
    body = "os.environ['PATH'] = 'no:none'\ntry: os.execlp('such', 'such')\nexcept OSError: step(2)"
    status, said = ended(place, body)
    assert (status, said[-2:]) == (0, ["becomes None", "end after [1, 2]"])


def test_no_python_runs_after_a_signal_that_kills_or_an_exit_in_c(place):
    assert ended(place, "os.kill(os.getpid(), 9)") == (-9, [])
    assert ended(place, "import ctypes; ctypes.CDLL(None)._exit(0)") == (0, [])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import subprocess; subprocess.run([sys.executable, '-c', 'pass'])", "{python} -c pass"),
        ("import subprocess; subprocess.run('bash -c true', shell=True)", "sh -c bash -c true"),
        ("import subprocess; subprocess.run(['uname'])", None),
        ("import subprocess; subprocess.run(['env', 'A=1', 'true', 'pythons'])", "env A=1 true pythons"),
        ("import subprocess; subprocess.run(['/usr/bin/nice', '-n', '1', 'bash', '-c', ''])", "nice -n 1 bash -c "),
        ("os.system('A=1 bash -c true')", "A=1 bash -c true"),
        ("import subprocess; subprocess.run(['env', 'true'])", None),
        ("def rank():\n    if os.fork() == 0: os._exit(0)\n    os.wait()\nrank()", "os.fork: rank"),
        (
            "import multiprocessing\ndef worker(): pass\n"
            "p = multiprocessing.get_context('fork').Process(target=worker); p.start(); p.join()",
            "multiprocessing, fork: worker",
        ),
        (
            "import multiprocessing as m\nif __name__ == '__main__':\n    m.set_start_method('spawn')\n"
            "    p = m.Process(target=print); p.start(); p.join()",
            "multiprocessing, spawn: print",
        ),
    ],
)
def test_processes_that_may_train_are_reported(place, body, said):
    expected = [] if said is None else [said.format(python=Path(sys.executable).name)]
    assert ended(place, body) == (0, [*expected, "end after [1]"])


@pytest.mark.parametrize("module", ["lastbit.script.trial_process", "lastbit.script.audit.instruments"])
def test_what_goes_into_a_program_imports_no_torch_before_it_does(module):
    """Torch reads its environment when it is imported, and the program may set that first."""
    code = f"import sys, {module}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
