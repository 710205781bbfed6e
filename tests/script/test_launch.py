"""The same program under `python` and under the launcher: everything it sees and everything it leaves must agree."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from lastbit.script import Target, child_command, parse_target

SEES = textwrap.dedent("""
    import json, os, sys
    own = {name: repr(value).split(" at 0x")[0] for name, value in globals().items() if name[0] == "_"}
    print(json.dumps({
        "argv": sys.argv, "path": sys.path[0], "cwd": os.getcwd(), "globals": own,
        "main": sys.modules["__main__"].__dict__ is globals(), "name": __name__,
    }))
""")


@contextmanager
def noted(settings):
    """Instruments that leave a mark before and after."""
    marks = Path(settings["marks"])
    marks.write_text("before")
    try:
        yield
    finally:
        marks.write_text(marks.read_text() + " after")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    return tmp_path


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def under_lastbit(*words):
    return child_command(parse_target(words), "test_launch:noted", {"marks": "marks.txt"})


def same(*words, **options):
    """Run under `python` and under the launcher; check that all that can be seen agrees, and give it."""
    plain, ours = run([sys.executable, *words], **options), run(under_lastbit(*words), **options)
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    assert Path("marks.txt").read_text() == "before after"
    return plain


@pytest.mark.parametrize("name", ["train.py", "./train.py", "below/train.py", "link.py"])
def test_a_file_sees_what_it_sees_under_python(place, name):
    (place / "below").mkdir()
    for script in ("train.py", "below/train.py"):
        (place / script).write_text(SEES)
    (place / "link.py").symlink_to(place / "below" / "train.py")
    seen = json.loads(same(name, "--lr", "0.1", "", "a b").stdout)
    assert seen["argv"] == [name, "--lr", "0.1", "", "a b"]
    assert seen["name"] == "__main__"


@pytest.mark.parametrize("name", ["package.train", "package", "flat"])
def test_a_module_sees_what_it_sees_under_python_m(place, name):
    (place / "package").mkdir()
    for script in ("package/__init__.py", "flat.py", "package/train.py", "package/__main__.py"):
        (place / script).write_text("" if "init" in script else SEES)
    seen = json.loads(same("-m", name, "--lr", "0.1").stdout)
    assert seen["path"] == str(place)


def test_a_console_script_runs_from_its_file_on_the_path(place, monkeypatch):
    (place / "bin").mkdir()
    command = place / "bin" / "my-train"
    command.write_text(f"#!{sys.executable}\n{SEES}")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place / 'bin'}:{os.environ['PATH']}")
    plain, ours = run(["my-train", "--lr"]), run(under_lastbit("my-train", "--lr"))
    assert json.loads(ours.stdout) == json.loads(plain.stdout)
    assert ours.returncode == 0


def test_a_console_script_without_a_file_runs_from_its_entry_point(place, monkeypatch):
    info = place / "somewhere" / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[console_scripts]\ntoy-train = toy_train:Cli.main\n")
    (place / "somewhere" / "toy_train.py").write_text(
        "import sys\nclass Cli:\n    def main():\n        print(sys.argv, __name__)\n        return 7\n"
    )
    monkeypatch.syspath_prepend(place / "somewhere")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    ours = run(under_lastbit("toy-train", "x"))
    assert (ours.returncode, ours.stdout, ours.stderr) == (7, "['toy-train', 'x'] toy_train\n", "")


@pytest.mark.parametrize(
    "body",
    [
        "import sys; sys.exit()",
        "import sys; sys.exit(3)",
        "import sys; sys.exit('no data')",
        "raise SystemExit(None)",
        "import os; print('x', flush=True); raise KeyError('first')",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('second') from e",
        "def f():\n    raise RuntimeError('deep')\nf()",
        "import sys\nsys.excepthook = lambda kind, error, trace: print(kind, trace.tb_lineno, trace.tb_next)\n1 / 0",
        "import broken",
        "import no_such_module",
        "raise KeyboardInterrupt",
        "import atexit; atexit.register(print, 'last'); raise SystemExit(5)",
        "import sys; sys.argv.append('x'); import builtins; del sys.path[0]; print(input())",
        "import multiprocessing as m\ndef f(x):\n    return x * x\n"
        "if __name__ == '__main__':\n    print(m.get_context('spawn').Pool(1).map(f, [2, 3]))",
        "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
        "import inspect\ndef f(): return 1\nprint(inspect.getsource(f))",
    ],
)
def test_a_program_ends_as_under_python(place, body):
    (place / "broken.py").write_text("def f(:\n")
    (place / "train.py").write_text(body + "\n")
    same("train.py", input="a line\n")


def test_a_syntax_error_is_shown_as_under_python(place):
    (place / "train.py").write_text("x = = 1\n")
    plain, ours = run([sys.executable, "train.py"]), run(under_lastbit("train.py"))
    assert (ours.returncode, ours.stdout, ours.stderr) == (1, "", plain.stderr)


def test_the_traceback_of_a_module_is_its_own(place):
    (place / "train.py").write_text("def f():\n    raise RuntimeError('deep')\nf()\n")
    ours = run(under_lastbit("-m", "train"))
    assert ours.returncode == 1
    assert [line.split('"')[1] for line in ours.stderr.splitlines() if "File" in line] == [str(place / "train.py")] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("handled", [True, False])
def test_signals_are_the_programs_own(place, number, handled):
    handler = f"signal.signal({int(number)}, lambda n, f: (print('saved', flush=True), sys.exit(4)))"
    (place / "train.py").write_text(
        f"import signal, sys, time\n{handler if handled else ''}\nprint('up', flush=True)\ntime.sleep(30)\n"
    )
    ended = []
    for command in ([sys.executable, "train.py"], under_lastbit("train.py")):
        # A shell has commands in the background ignore Ctrl-C, and so what they begin, such as these tests.
        options = {"text": True, "preexec_fn": partial(signal.signal, signal.SIGINT, signal.SIG_DFL)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
            assert process.stdout.readline() == "up\n"
            time.sleep(0.05)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
        ended.append((process.returncode, out, err))
    assert ended[0] == ended[1]
    assert ended[0][0] == (4 if handled else -number)


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["train.py", "--lr", "1"], Target("file", "train.py", ("--lr", "1"))),
        (["python", "train.py"], Target("file", "train.py")),
        (["python3.11", "-u", "train.py", "-u"], Target("file", "train.py", ("-u",))),
        ([sys.executable, "-m", "package.train", "-m"], Target("module", "package.train", ("-m",))),
        (["pytest", "-q"], Target("command", "pytest", ("-q",))),
    ],
)
def test_words_are_read_as_python_would(place, words, target):
    (place / "train.py").touch()
    (place / "package").mkdir()
    (place / "package" / "train.py").touch()
    assert parse_target(words) == target
    assert parse_target(target.words) == target
    assert target.path().is_file()


def test_a_shell_script_on_the_path_does_not_hide_the_command(place, monkeypatch):
    shim = place / "shims" / "pytest"
    shim.parent.mkdir()
    shim.write_text("#!/usr/bin/env bash\nexec manager pytest\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(shim.parent))
    found = parse_target(["pytest", "-q"]).path()
    assert found == Path(sys.executable).parent / "pytest"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "no script was given"),
        (["python"], "no script was given"),
        (["trian.py"], r"there is no script trian.py in .*: did you mean train.py\?"),
        (["nowhere/train.py"], "there is no script nowhere/train.py"),
        (["below"], "below is a directory"),
        (["-m"], "-m needs the name of a module"),
        (["-m", "no.such"], "there is no module no.such to run"),
        (["-m", "below"], "there is no module below"),
        (["--k", "3"], "'--k' comes where the script belongs"),
        (["no-such-command"], "neither a script here nor a console script"),
        (["ls", "-l"], "ls is neither a script here nor a console script"),
        (
            ["mpirun", "-n", "2", "python", "train.py"],
            "mpirun is no launcher .* `-- torchrun --nproc-per-node 2 train.py`",
        ),
        (["/bin/sh", "train.sh"], "/bin/sh is a shell: give the Python script alone"),
        (["bash", "train.sh"], "bash is a shell: give the Python script alone, as in `-- train.py`"),
        (["train.ipynb"], "train.ipynb is a notebook: make a script of it with `jupyter nbconvert --to script train.i"),
        (["train.sh"], "train.sh is a shell script: give the Python script that it starts"),
        (["launch", "x"], "launch is a shell script: give the Python script that it starts"),
        (["model.pt"], "model.pt is no text"),
        (["config.yaml"], "config.yaml is no Python script"),
        (["package"], r"package is a directory: name the script in it \(train.py\)"),
        (["package.train"], "package.train is a module: write -m before it, as in `-- -m package.train`"),
    ],
)
def test_what_is_no_program_is_reported(place, words, complaint):
    (place / "train.py").touch()
    (place / "below").mkdir()
    (place / "package").mkdir()
    (place / "package" / "train.py").touch()
    (place / "train.ipynb").write_text('{"cells": []}')
    (place / "train.sh").write_text("python train.py\n")
    (place / "launch").write_text("#!/usr/bin/env bash\nexec torchrun train.py\n")
    (place / "model.pt").write_bytes(b"PK\3\4\0\0")
    (place / "config.yaml").write_text("lr: 0.1\nname: some text\n")
    with pytest.raises(ValueError, match=complaint):
        parse_target(words)
