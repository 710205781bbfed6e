"""Nothing stored is ever executed: no pickle, and no evaluation of anything but a person's own script."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lastbit

ROOT = Path(lastbit.__file__).parent
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__"}
OWN_SCRIPT = "script/launch.py"  # runs the script that the user names on the command line


def offences(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            yield from call_offences(node)


def call_offences(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    allows = {word.arg: ast.unparse(word.value) for word in node.keywords}
    if name in CALLS or name in {"torch.load", "torch.jit.load", "torch.hub.load"} or name.endswith("read_pickle"):
        yield name
    loads_yaml = re.fullmatch(r"yaml\.(\w*load(_all)?|compose(_all)?)", name) and not name.startswith("yaml.safe_load")
    if loads_yaml and not re.search(r"\bC?SafeLoader\b", allows.get("Loader", "")):
        yield name
    if name in {"np.load", "numpy.load"} and allows.get("allow_pickle") != "False":
        yield name


def test_no_stored_data_can_run_code():
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        here = list(offences(ast.parse(path.read_bytes())))
        if here:
            found[path.relative_to(ROOT).as_posix()] = here
    assert found.pop(OWN_SCRIPT, None) is not None, "the test looks for nothing if it does not find this"
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import load",
        "torch.load(path)",
        "eval(text)",
        "np.load(path)",
        "import dill.x",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.UnsafeLoader)",
        "yaml.unsafe_load(text)",
        "yaml.full_load(text)",
    ],
)
def test_the_test_itself_finds_what_it_looks_for(line):
    assert list(offences(ast.parse(line)))
    harmless = "np.load(path, allow_pickle=False); model.eval(); re.compile(text)"
    safe = "yaml.safe_load(text); yaml.load(text, Loader=yaml.SafeLoader)"
    assert not list(offences(ast.parse(f"{harmless}; {safe}")))
