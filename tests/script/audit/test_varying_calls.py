import pytest

from lastbit.script.audit.decisions import find_decisions
from lastbit.script.audit.varying_calls import find_varying_calls


def suspects(tmp_path, source):
    file = tmp_path / "train.py"
    file.write_text(source)
    return [(suspect.category, suspect.call, suspect.line) for suspect in find_varying_calls(file)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time\nt = time.time()", [("clock", "time.time()", 2)]),
        ("from time import perf_counter as now\nnow()", [("clock", "time.perf_counter()", 2)]),
        ("from datetime import datetime\ndatetime.now()", [("clock", "datetime.datetime.now()", 2)]),
        ("import os\nos.getpid()", [("process", "os.getpid()", 2)]),
        ("import secrets as s\ns.randbelow(3)", [("entropy", "secrets.randbelow()", 2)]),
        ("import numpy as np\nnp.random.default_rng()", [("entropy", "numpy.random.default_rng()", 2)]),
        ("import numpy as np\nnp.random.default_rng(0)", []),
        ("import random\nrandom.seed()\nrandom.seed(3)", [("entropy", "random.seed()", 2)]),
        ("hash('x')", [("hash", "hash()", 1)]),
        ("x = {'a', 'b'}", [("hash", "a set", 1)]),
        ("x = {a for a in b}", [("hash", "a set", 1)]),
        ("x = sorted({'a', 'b'})", []),
        ("x = 'a' in {'a', 'b'}", []),
        ("import os\nx = sorted(os.listdir('.'))", []),
        ("import os\nx = os.listdir('.')", [("order", "os.listdir()", 2)]),
        ("for f in folder.iterdir(): pass", [("order", "folder.iterdir()", 1)]),
        ("import os\nos.environ['A']", [("environment", "os.environ", 2)]),
        ("import torch\ntorch.manual_seed(0)", []),
        ("def f(:", []),
    ],
)
def test_calls_that_differ_from_run_to_run_are_found(tmp_path, source, expected):
    assert suspects(tmp_path, source) == expected


def test_an_unreadable_file_has_none(tmp_path):
    assert find_varying_calls(tmp_path / "nowhere.py") == []


def test_a_suspect_knows_the_function_around_it(tmp_path):
    (tmp_path / "train.py").write_text("import os\ndef seed():\n    return os.getpid()\n")
    (found,) = find_varying_calls(tmp_path / "train.py")
    assert found.function == (2, 3)
    assert found.where == "train.py:3"


def decisions(tmp_path, **sources):
    files = [tmp_path / f"{name}.py" for name in sources]
    for file, source in zip(files, sources.values(), strict=True):
        file.write_text(source)
    return [(found.category, found.call, found.line) for found in find_decisions(files)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time\nwhile time.time() < 3: pass", [("clock", "time.time()", 2)]),
        ("from time import monotonic as now\nend = now() + 1\nif 5 > end: pass", [("clock", "time.monotonic()", 3)]),
        ("import os\na, b = 1, os.times()\nif a: pass\nif b[4] > 3: pass", [("clock", "os.times()", 4)]),
        ("import time\nx = [i for i in y if time.time() > i]", [("clock", "time.time()", 2)]),
        ("import time\nx = 1 if (t := time.time()) else 2", [("clock", "time.time()", 2)]),
        ("import time\nfor i in range(int(time.time()) % 3): pass", [("clock", "time.time()", 2)]),
        (
            "import time\nclass Budget:\n  def __init__(self): self.end = time.time()\n"
            "  def over(self): return self.end < 3\nwhile not Budget().over(): pass",
            [("clock", "time.time()", 5)],
        ),
        ("from datetime import datetime as d\nif d.now().hour: pass", [("clock", "datetime.datetime.now()", 2)]),
        ("import threading\nthreading.Timer(3, print).start()", [("clock", "threading.Timer()", 2)]),
        ("import signal\nsignal.alarm(3)", [("clock", "signal.alarm()", 2)]),
        ("Trainer(max_time='00:01')\nTrainer(max_time=None)", [("clock", "max_time=", 1)]),
        ("import os\nif os.getpid() % 2: pass", [("process", "os.getpid()", 2)]),
        ("import secrets\nif secrets.randbelow(2): pass", [("entropy", "secrets.randbelow()", 2)]),
        ("import uuid\nname = uuid.uuid4()\nif name.hex > '8': pass", [("entropy", "uuid.uuid4()", 3)]),
        ("import time\nprint(time.time())\nstart = time.time()\ntook = time.time() - start", []),
        ("import time\ndef f():\n  t = time.time()\n  print(t)\nt = 3\nif t: pass", []),
        ("import time\ntime.sleep(1)\nif x: pass", []),
        ("if os.path.exists('a'): pass", []),
        ("def f(:", []),
    ],
)
def test_conditions_on_what_differs_are_found(tmp_path, source, expected):
    assert decisions(tmp_path, train=source) == expected


def test_what_a_function_of_another_file_returns_is_followed(tmp_path):
    found = decisions(
        tmp_path, clock="import time\ndef late():\n  return time.time() > 3\n", train="while not late(): pass"
    )
    assert found == [("clock", "time.time()", 1)]
