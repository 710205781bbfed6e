import pytest

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
