import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

import lastbit as lb
from lastbit.storage.locks import directory_lock
from lastbit.study.open_study import open_study

SCRIPTS = Path(__file__).parents[2] / "examples" / "scripts"

TINY = """
import argparse, sys
import lastbit as lb
import torch
from torch import nn
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out")
args = parser.parse_args()
torch.manual_seed(args.seed)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
x = torch.randn(64, 8)
for step in range(1, 31):
    optimizer.zero_grad()
    loss = (model(x) - x[:, :1]).square().mean()
    loss.backward()
    optimizer.step()
    print(f"step {step} loss={loss.item():.9f}")
lb.log(final=float(model(x).sum()))
lb.log_predictions((model(x)[:, 0] > 0).long())
torch.save(model.state_dict(), args.out)
print("time", __import__("time").time_ns(), file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return tmp_path


def json_of(lastbit, *arguments):
    code, out, err = lastbit("run", "--json", "-", *arguments)
    assert code == 0, err
    return json.loads(out), err


def test_a_script_is_run_as_it_is_and_its_noise_is_ks(lastbit, place, warm_python):
    """The plain run under `python` is the oracle for k = 1, and `lb.perturb` in this process that for k = 3."""
    (place / "tiny.py").write_text(TINY)
    words = ("--k", "1,3", "--seeds", "5", "--seed-arg", "--seed {seed}", "--out", "study", "--workers", "1")
    command = ("--", "tiny.py", "--out", "{trial}/model.pt")
    results, err = json_of(lastbit, *words, "--metric", r"loss=([0-9.]+)", *command)
    assert err == ""
    assert results["controls"] == {"repeat": True, "power_of_two": True}
    assert [(row["noise"], row["seed"]) for row in results["trials"]] == [("k=1", 5), ("k=3", 5)]
    assert all("final" in row and "loss" in row for row in results["trials"])
    assert results["metric"]["name"] == "loss"
    assert results["churn"]["noise"]["pairs"] == 1
    assert [row["step"] for row in results["rel_l1"]] == [1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30]
    plain = ([sys.executable, "tiny.py", "--seed", "5", "--out", "plain.pt"], {**os.environ, "OMP_NUM_THREADS": "1"})
    said = warm_python.run(plain[0], env=plain[1], check=True).stdout
    study = open_study(Path("study"))
    first, third = (study.store.load(trial) for trial in study.trials())
    assert (first.directory / "output" / "stdout.txt").read_text() == said
    assert _same(first.weights(30), torch.load("plain.pt"))
    assert _same(third.weights(30), _perturbed(k=3, seed=5))
    assert not _same(third.weights(30), first.weights(30))
    losses = [row["loss"] for row in first.metrics if "loss" in row]
    assert losses == [float(line.split("=")[1]) for line in said.splitlines()]

    before = {path: path.stat().st_mtime_ns for path in Path("study").glob("trials/*/done.json")}
    code, out, err = lastbit("run", *words, "--metric", r"los=([0-9.]+)", *command)
    assert (code, out) == (2, "")
    assert err.startswith(
        "lastbit: --metric 'los=([0-9.]+)' matches nothing in the output, which ended with 'step 30 los"
    )
    assert err.count("\n") == 1
    assert json_of(lastbit, *words, *command)[0]["metric"]["name"] == "final"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    (place / "tiny.py").write_text(TINY + "\n")
    code, _, err = lastbit("run", *words, *command)
    assert (code, "holds another study" in err) == (2, True)


def test_a_metric_that_the_first_run_does_not_give_stops_the_others(lastbit, place):
    (place / "tiny.py").write_text(TINY)
    words = ("run", "--k", "1,3,5", "--uncontrolled", "--workers", "1", "--out", "study")
    command = ("--", "tiny.py", "--out", "{trial}/model.pt")
    code, out, err = lastbit(*words, "--metric", "accuracy=([0-9.]+)", *command)
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert re.fullmatch(
        r"lastbit: --metric 'accuracy=\(\[0-9.\]\+\)' matches nothing in the output, which ended with"
        r" 'step 30 loss=[0-9.]+' \(the run of seed 1, k=\d\)\. Nothing more is run, .*",
        last,
    )
    before = {path: path.stat().st_mtime_ns for path in Path("study/trials").glob("*/done.json")}
    assert 1 <= len(before) <= 2  # the next one may have begun, and ends
    code, out, err = lastbit(*words, "--metric-file", "{trial}/metrics.json:acc", *command)
    assert (code, err.count("\n")) == (2, 1)
    assert "--metric-file {trial}/metrics.json:acc: the run did not write {trial}/metrics.json" in err
    assert len(list(Path("study/trials").glob("*/done.json"))) == len(before)
    assert lastbit(*words, "--metric", "loss=([0-9.]+)", *command)[0] == 0
    assert len(list(Path("study/trials").glob("*/done.json"))) == 3
    assert {path: path.stat().st_mtime_ns for path in before} == before


def _same(weights, others):
    return weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


def _perturbed(*, k, seed):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    optimizer = lb.perturb(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), lb.Scale(k))
    x = torch.randn(64, 8)
    for _ in range(30):
        optimizer.zero_grad()
        (model(x) - x[:, :1]).square().mean().backward()
        optimizer.step()
    return model.state_dict()


def documented(script):
    """The words before `--` of the command that docs/run.md prints for an example."""
    page = (SCRIPTS.parents[1] / "docs" / "run.md").read_text(encoding="utf-8")
    lines = [shlex.split(line) for line in page.splitlines() if line.endswith(f"-- examples/scripts/{script}.py")]
    ((command, run, *words, _, _),) = lines
    assert (command, run) == ("lastbit", "run")
    return words


@pytest.mark.parametrize(
    ("script", "arguments", "facts"),
    [
        ("plain_loop", ["--epochs", "1", "--batch-size", "200"], (["SGD"], 0, 7)),
        ("lightning_digits", ["--epochs", "1", "--batch-size", "200"], (["AdamW"], 0, 7)),
        ("hf_trainer", ["--epochs", "1", "--train-size", "224"], (["AdamW"], 1, 7)),
        ("accelerate_amp", ["--epochs", "1", "--batch-size", "300"], (["AdamW"], 0, 7)),
        ("gan", ["--epochs", "1", "--steps-per-epoch", "7"], (["Adam", "Adam"], 0, 14)),
    ],
)
def test_real_scripts_in_five_styles_are_run_as_documented_and_disturbed(lastbit, script, arguments, facts):
    words = ("--k", "1,3", "--uncontrolled", "--out", "study", *documented(script))
    results, err = json_of(lastbit, *words, "--", SCRIPTS / f"{script}.py", *arguments)
    optimizers, unfused, steps = facts
    study = open_study(Path("study"))
    for trial in study.trials():
        notes = json.loads((study.store.load(trial).directory / "output" / "notes.json").read_text())
        assert (notes["optimizers"], notes["unfused"], notes["steps"]) == (optimizers, unfused, steps)
        assert notes["fingerprint"]["threads"] == 1
    assert ("fused=True, which was turned off in every run" in err) == bool(unfused)
    name = results["metric"]["name"]
    assert all(isinstance(row[name], float) for row in results["trials"])
    last = results["rel_l1"][-1]
    assert last["step"] == steps
    assert 0 < last["value"] < 1e-2
    assert len(results["fingerprints"]) == 1
    assert not any(row["layer"].startswith("parameter ") for row in results["rel_l1_layers"])


def test_a_metric_from_a_file_and_what_a_script_writes_and_a_command_refused(lastbit, place):
    """One run: its metric is read from a file, its output is shown, and a refused command changes nothing of it."""
    (place / "says.py").write_text(
        "import json, sys, torch\np = torch.nn.Parameter(torch.ones(1))\no = torch.optim.SGD([p], lr=0.1)\n"
        "p.sum().backward(); o.step()\nprint('acc=0.5 loss=2'); print('10%\\r100%', file=sys.stderr)\n"
        "with open(sys.argv[1], 'w') as file: json.dump({'final': {'modes': 3}}, file)\n"
    )
    words, command = ("--k", "1", "--uncontrolled", "--out", "study"), ("--", "says.py", "{trial}/r.json")
    results, err = json_of(lastbit, *words, "--metric-file", "{trial}/r.json:final.modes", "--show", *command)
    assert results["metric"]["name"] == "modes"
    assert results["trials"][0]["modes"] == 3
    assert "{trial}" in results["settings"]["command"]
    assert {"seed 1, k=1 | acc=0.5 loss=2", "seed 1, k=1 | 100%"} == set(err.splitlines())
    kept = next(Path("study/trials").iterdir()) / "output"
    assert (kept / "stdout.txt").read_text() == "acc=0.5 loss=2\n"
    assert (kept / "stderr.txt").read_bytes() == b"10%\r100%\n"

    json_of(lastbit, *words, "--metric", "acc=([0-9.]+)", *command)
    files = [kept / "found.json", Path("study/study.json"), Path("study/results.json")]
    before = [file.read_bytes() for file in files]
    with directory_lock(Path("study")):
        code, _, err = lastbit("run", *words, "--metric", "loss=([0-9.]+)", *command)
    assert (code, "study is in use by another run" in err) == (2, True)
    assert [file.read_bytes() for file in files] == before
    results, _ = json_of(lastbit, *words, "--metric", "loss=([0-9.]+)", *command)
    assert results["trials"][0]["metrics"] == {"loss": 2}


def test_the_samples_of_shuffled_batches_change_places(lastbit, place):
    (place / "order.py").write_text(
        "import torch\nfrom torch.utils.data import DataLoader\n"
        "p = torch.nn.Parameter(torch.ones(1))\no = torch.optim.RMSprop([p])\n"
        "torch.manual_seed(0)\n"
        "for shuffle in (True, False):\n"
        "    for batch in DataLoader(torch.arange(6.0), batch_size=6, shuffle=shuffle):\n"
        "        print(shuffle, batch.tolist())\n"
        "p.sum().backward(); o.step()\n"
    )
    words = ("--noise", "order", "--noise-seeds", "1", "--uncontrolled", "--out", "study")
    json_of(lastbit, *words, "--", "order.py")
    study = open_study(Path("study"))
    rows = [
        (study.store.load(trial).directory / "output/stdout.txt").read_text().splitlines() for trial in study.trials()
    ]
    (given, evaluated), (permuted, evaluated_too) = rows
    assert evaluated == evaluated_too == "False [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]"
    assert given != permuted
    assert sorted(json.loads(given[5:])) == sorted(json.loads(permuted[5:]))


def test_a_script_that_fails_shows_its_own_traceback_and_the_others_go_on(lastbit, place, monkeypatch):
    (place / "fails.py").write_text(
        "import os, sys, torch\nseed = int(sys.argv[1])\ndef load():\n    raise FileNotFoundError('no data')\n"
        "p = torch.nn.Parameter(torch.ones(1))\no = torch.optim.SGD([p], lr=0.1)\np.sum().backward(); o.step()\n"
        "print('value', seed)\nif seed == 2 and 'DATA' not in os.environ:\n    load()\n"
    )
    words = ("--k", "1", "--uncontrolled", "--seeds", "1-2", "--seed-arg", "{seed}", "--metric", "value ([0-9]+)")
    code, out, err = lastbit("run", *words, "--out", "study", "--json", "rows.json", "--", "fails.py")
    assert code == 1
    assert "1 trial(s) failed, first seed 2, k=1: fails.py ended with exit code 1 (all it wrote is in study/" in err
    assert f'File "{place}/fails.py", line 10, in <module>\n    load()' in err
    assert "FileNotFoundError: no data" in err
    assert "lastbit/script" not in err
    assert "1.0" in out
    assert "failed" in out
    finished, failed = json.loads(Path("rows.json").read_text())["trials"]
    assert (finished["status"], finished["value"], finished["failure"]) == ("finished", 1.0, None)
    assert (failed["seed"], failed["noise"], failed["status"], failed["value"]) == (2, "k=1", "failed", None)
    assert failed["failure"]["exit_code"] == 1
    assert failed["failure"]["last_lines"][-1] == "FileNotFoundError: no data"
    assert "1 run(s) failed and count in no average" in json.loads(Path("rows.json").read_text())["verdict"]
    assert "FileNotFoundError: no data</pre>" in Path("study/report.html").read_text()
    kept = next(Path("study/failed").iterdir())
    assert (kept / "stdout.txt").read_text() == "value 2\n"
    # The failure lay outside the script: the same command runs that trial again, and what it left is dropped.
    monkeypatch.setenv("DATA", "there")
    results, _ = json_of(lastbit, *words, "--out", "study", "--", "fails.py")
    assert [(row["status"], row["value"]) for row in results["trials"]] == [("finished", 1.0), ("finished", 2.0)]
    assert list(Path("study/failed").iterdir()) == []


def test_a_script_that_exits_with_its_accuracy_is_tried_twice(lastbit, place):
    (place / "train.py").write_text(
        "import sys, torch\np = torch.nn.Parameter(torch.ones(1))\no = torch.optim.SGD([p], lr=0.1)\n"
        "for _ in range(40): p.sum().backward(); o.step()\nsys.exit('acc=0.5')\n"
    )
    words = ("--k", "1,3", "--seeds", "1-3", "--seed-arg", "{seed}", "--uncontrolled", "--workers", "1")
    code, out, err = lastbit("run", *words, "--out", "study", "--", "train.py")
    assert (code, out) == (1, "")
    assert "code 1: it had taken 40 steps before it ended by sys.exit('acc=0.5'), which is a failure" in err
    # The next one may have been begun before the second was seen to fail like the first.
    last = err.splitlines()[-1]
    assert re.fullmatch(
        r"\d trials failed(, the first two)? alike, so the other \d were not begun; .* tries again", last
    )


def test_a_script_that_cannot_begin_is_tried_twice_and_once_mended_starts_over(lastbit, place):
    begins = (
        "import torch\np = torch.nn.Parameter(torch.ones(1))\no = torch.optim.SGD([p], lr=0.1)\n"
        "p.sum().backward(); o.step()\nprint('acc=0.5')\n"
    )
    (place / "train.py").write_text("import no_such_module\n" + begins)
    words = ("--k", "1", "--seeds", "1-5", "--seed-arg", "{seed}", "--uncontrolled", "--out", "study")
    command = (*words, "--workers", "1", "--metric", "acc=([0-9.]+)", "--", "train.py")
    code, out, err = lastbit("run", *command)
    assert (code, out) == (1, "")
    assert "trial(s) failed, first seed 1, k=1: train.py ended with exit code 1" in err
    assert "ModuleNotFoundError: No module named 'no_such_module'" in err
    # The third may have begun when the second has ended.
    said = re.search(
        r"(\d) trials failed(?:, the first two)? alike before their first update, so the other (\d) were not begun; "
        r"the same command tries again\n$",
        err,
    )
    failed, untried = (int(number) for number in said.groups())
    assert failed + untried == 5
    assert len(list(Path("study/failed").iterdir())) == failed
    assert not Path("study/running").exists()

    (place / "train.py").write_text(begins)
    results, _ = json_of(lastbit, *command)
    assert [row["status"] for row in results["trials"]] == ["finished"] * 5
    assert not Path("study/failed").exists()

    (place / "train.py").write_text(begins + "print('done')\n")
    code, _, err = lastbit("run", "--threads", "2", *command)
    assert code == 2
    assert "train.py has changed: study holds another study, of which the first run ended on 20" in err
    assert re.search(r"\(script [0-9a-f]{8}… -> [0-9a-f]{8}…, threads 1 -> 2\)", err)
    assert err.endswith("choose another directory (--out study-2), or give those up (rm -r study)\n")


def test_ctrl_c_twice_stops_the_scripts_and_calls_none_of_them_failed(place):
    (place / "waits.py").write_text("from pathlib import Path\nimport time\nPath('began').touch()\ntime.sleep(60)\n")
    words = ["-m", "lastbit", "run", "--k", "1", "--uncontrolled", "--out", "study", "--", "waits.py"]
    # A shell has commands in the background ignore Ctrl-C, and so what they begin, such as these tests.
    options = {"text": True, "preexec_fn": partial(signal.signal, signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, **options) as command:
        deadline = time.monotonic() + 60
        while not Path("began").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        command.send_signal(signal.SIGINT)
        first = next(line for line in command.stderr if line.startswith("finishing"))
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=30)
    assert first == "finishing seed 1, k=1; nothing more is begun, Ctrl-C again stops now\n"
    assert (command.returncode, err) == (130, "lastbit: stopped\n")
    assert not Path("study/failed").exists()


def test_rows_of_failed_trials_are_written_even_where_no_other_is(lastbit, place):
    (place / "killed.py").write_text("import os\nprint('so far', flush=True)\nos.kill(os.getpid(), 9)\n")
    words = ("--k", "1,3", "--uncontrolled", "--out", "study")
    code, out, err = lastbit("run", *words, "--json", "-", "--", "killed.py")
    assert code == 1
    assert "2 trial(s) failed" in err
    assert err.endswith("No trial is stored; the same command tries again\n")
    rows = json.loads(out)["trials"]
    assert [(row["noise"], row["status"]) for row in rows] == [("k=1", "failed"), ("k=3", "failed")]
    for row in rows:
        assert (row["failure"]["exit_code"], row["failure"]["outcome"]) == (-9, "killed by signal 9")
        assert row["failure"]["last_lines"][-1] == "so far"


def test_runs_whose_weights_have_other_shapes_are_named_and_the_rest_is_reported(lastbit, place):
    (place / "grows.py").write_text(
        "from pathlib import Path\nimport torch\n"
        "before = Path('before'); size = 5 if before.exists() else 3; before.touch()\n"
        "p = torch.nn.Parameter(torch.ones(size)); o = torch.optim.SGD([p], lr=0.1)\n"
        "p.square().sum().backward(); o.step()\nprint('acc=0.5')\n"
    )
    words = ("--k", "1,3", "--uncontrolled", "--workers", "1", "--metric", "acc=([0-9.]+)", "--out", "study")
    results, _ = json_of(lastbit, *words, "--", "grows.py")
    (said,) = results["incomparable"]
    assert said.startswith("seed 1, k=3 and k=1: tensor 'parameter 0' has shape (5,) in one network and (3,) in the")
    assert f"The weights of 1 pair(s) of runs cannot be compared, the first {said}." in results["verdict"]
    assert [row["acc"] for row in results["trials"]] == [0.5, 0.5]
    assert results["rel_l1"] == []


def test_a_script_that_does_not_repeat_itself_fails_the_controls(lastbit, place):
    (place / "unseeded.py").write_text(
        "import torch\np = torch.nn.Parameter(torch.rand(4))\no = torch.optim.SGD([p], lr=0.1)\n"
        "p.sum().backward(); o.step()\n"
    )
    code, _, err = lastbit("run", "--k", "1,3", "--out", "study", "--", "unseeded.py", "--x", "a b")
    assert code == 1
    assert "the controls failed: the same run twice gave different bits" in err
    assert "To see where: lastbit audit -- unseeded.py --x 'a b'" in err


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("print('hello')", "train.py made no torch optimizer"),
        ("import sys; sys.exit('no data here')", "train.py ended with exit code 1 (all it wrote is in study/failed/"),
        ("import os; os.kill(os.getpid(), 9)", "train.py was killed by signal 9"),
        (
            "import torch; torch.optim.RAdam([torch.ones(1, requires_grad=True)])",
            "--noise scale: k perturbs torch.optim's Adagrad, Adam, AdamW, Muon, NAdam, RMSprop and SGD themselves, "
            "not torch.optim.radam.RAdam; the noises ulp and rounding take any",
        ),
    ],
)
def test_a_script_no_noise_can_be_put_on_is_reported(lastbit, place, body, complaint):
    (place / "train.py").write_text(body + "\n")
    code, out, err = lastbit("run", "--k", "1", "--uncontrolled", "--out", "study", "--", "train.py")
    assert code == (1 if "exit code" in complaint or "killed" in complaint else 2)
    assert complaint in err
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--", "trian.py"], "there is no script trian.py"),
        (["--", "-m", "no.such"], "there is no module no.such"),
        (["--metric", "acc=[0-9]+", "--", "train.py"], "has no group"),
        (["--metric", "acc=([0-9]+", "--", "train.py"], "is no regular expression"),
        (["--metric", "acc=(.)", "--metric", "acc: (.)", "--", "train.py"], "two metrics are called acc"),
        (["--metric-file", "r.json", "--", "train.py"], "write PATH:KEY"),
        (["--metric-file", "r.json:a", "--workers", "2", "--", "train.py"], "would all write r.json"),
        (["--seeds", "1-3", "--", "train.py"], "3 seeds were given and no --seed-arg"),
        (["--seeds", "1-3", "--", "train.py"], "takes it by --seed-env, such as --seed-env SEED"),
        (["--seed-env", "a b", "--", "train.py"], "give the name of an environment variable, such as SEED"),
        (["--seed-env", "PYTHONHASHSEED", "--", "train.py"], "and not one that lastbit sets itself"),
        (["--", "train.ipynb"], "there is no script train.ipynb"),
        (["--seed-arg", "--seed 3", "--", "train.py"], "has no {seed} in it"),
        (["--seed-arg", "--seed {seed} {x}", "--", "train.py"], "cannot be filled in"),
        (["--snapshots", "0", "--", "train.py"], "--snapshots 0.0: give a positive number"),
        (["--out", "/proc/nowhere", "--", "train.py"], "/proc/nowhere: cannot write there"),
        (["--out", "--", "train.py"], "--out has no value: give one before `--`"),
        (["--k", "0", "--", "train.py"], "must be a whole number from 1"),
        (["--noise", "ulp", "--k", "3", "--", "train.py"], "--k 3 is for --noise scale"),
    ],
)
def test_wrong_input_to_run_is_one_line_and_exit_status_2(lastbit, place, words, complaint):
    (place / "train.py").touch()
    code, out, err = lastbit("run", *words)
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.startswith("lastbit: ")
    assert err.count("\n") == 1
    assert [path.name for path in place.iterdir()] == ["train.py"]
