"""Help, the version, completion and a wrong option import no torch: they are asked for often, and answer at once."""

import json
import subprocess
import sys
from importlib.metadata import version

from typer.core import TyperGroup
from typer.main import get_command

from lastbit.cli.commands import app

SLOW = ["torch", "numpy", "scipy", "polars", "altair", "sklearn", "requests", "distributed", "marimo", "rich.progress"]
# Runs command lines one after another in a process that has imported nothing yet, and says what each of them imported.
PROGRAM = """
import contextlib, io, json, os, sys
from lastbit.cli.main import main

lines, slow = json.load(sys.stdin)
answers = []
for arguments, variables in lines:
    sys.argv = ["lastbit", *arguments]
    os.environ.update(variables)
    before, said = set(sys.modules), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    for name in variables:
        del os.environ[name]
    answers.append([code, said.getvalue(), sorted({*slow} & {*sys.modules} - before)])
json.dump(answers, sys.stdout)
"""


def paths(command, path=()):
    subcommands = command.commands.items() if isinstance(command, TyperGroup) else ()
    return [path, *(below for name, sub in subcommands for below in paths(sub, (*path, name)))]


def answers(lines):
    """For each command line its exit status, its output, and the slow modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps([lines, SLOW]), capture_output=True, text=True, check=True
    )
    return [tuple(answer) for answer in json.loads(done.stdout)]


PATHS = paths(get_command(app))
COMPLETED = {
    "lastbit gro": "growth",
    "lastbit pde ph": "phase",
    "lastbit study dem": "demo",
    "lastbit study demo --scale s": "smoke",
    "lastbit study demo --noise ro": "rounding",
    "lastbit study demo --device au": "auto",
    "lastbit study demo --set optimizer.nest": "optimizer.nesterov=",
    "lastbit study demo --set model.activation=sw": "model.activation=swish",
    "lastbit demo --scale s": "smoke",
    "lastbit paper run figure1": "figure1",
    "lastbit paper run figure1 --scale sm": "smoke",
}


def tab(line):
    place = str(len(line.split(" ")) - 1)
    return [], {"_LASTBIT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": place}


def test_help_imports_nothing_slow():
    found = answers([([*path, "--help"], {}) for path in PATHS])
    assert [(code, slow) for code, _, slow in found] == [(0, [])] * len(PATHS)
    assert all(
        f"Usage: {' '.join(('lastbit', *path))}" in said for path, (_, said, _) in zip(PATHS, found, strict=True)
    )


def test_a_wrong_option_imports_nothing_slow():
    found = answers([([*path, "--frobnicate"], {}) for path in PATHS])
    assert found == [(2, "lastbit: No such option: --frobnicate\n", [])] * len(PATHS)


def test_files_that_are_no_traces_are_refused_without_torch():
    lines = [["audit", "diff"], ["audit", "diff", "no.trace", "none.trace"], ["audit", "diff", __file__, __file__]]
    lines += [["audit", "--against", "no.trace", "--", __file__], ["audit", "--against", __file__, "--", __file__]]
    found = answers([(line, {}) for line in lines])
    assert [(code, said.count("\n")) for code, said, _ in found] == [(2, 1)] * 5
    assert not any("torch" in slow for _, _, slow in found)
    assert "takes two traces, not 0" in found[0][1]


def test_the_version_imports_nothing_slow():
    assert answers([(["--version"], {})]) == [(0, f"lastbit {version('lastbit')}\n", [])]


def test_completion_imports_nothing_slow():
    found = answers([tab(line) for line in COMPLETED])
    assert [(code, slow) for code, _, slow in found] == [(0, [])] * len(COMPLETED)
    assert all(offer in said.split() for offer, (_, said, _) in zip(COMPLETED.values(), found, strict=True))


def test_completing_data_sets_imports_no_torch():
    ((code, said, slow),) = answers([tab("lastbit data fetch fashion-mi")])
    assert (code, said.split()) == (0, ["fashion-mini"])
    assert {*slow} <= {"numpy", "requests"}  # which read and fetch the sets


def test_what_is_slow_would_be_found():
    ((code, _, slow),) = answers([(["recipe", "list"], {})])
    assert (code, slow) == (0, [])
    ((code, _, slow),) = answers([(["data", "list"], {})])
    assert (code, "numpy" in slow) == (0, True)
