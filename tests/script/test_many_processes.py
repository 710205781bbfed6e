"""Trials of several processes, each of which trains; the oracle is the same training in this process."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lastbit.noise import Rounding, Scale, perturb
from lastbit.script import parse_target, processes
from lastbit.script.endings import ScriptError, UntrainedError
from lastbit.script.processes import Cores
from lastbit.script.training import ScriptTraining
from lastbit.study import Recorder, Trial

STEPS, WORLD = 5, 2

# Two ranks train on half a batch each; the second prints, too.
DDP = """
import os, sys, torch, torch.distributed as dist
from torch import nn
import data
wrapped = nn.parallel.DistributedDataParallel
def main(rank, *address):
    dist.init_process_group("gloo", *address, rank=rank, world_size=2)
    net = wrapped(data.network())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for step in range(5):
        optimizer.zero_grad()
        data.loss(net, step, rank).backward()
        optimizer.step()
    print("rank", rank, "ran", data.loss(net, 0, 0).item())
    dist.destroy_process_group()
"""
DATA = """
import torch
from torch import nn
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
def loss(net, step, rank):
    x = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(step))[rank]
    return (net(x) - x.sum(1, keepdim=True).sin()).square().mean()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(processes, "_GRACE", 1.0)
    (tmp_path / "data.py").write_text(DATA)
    return tmp_path


def trained(place, body, *words, noise=None):
    (place / "train.py").write_text(body)
    training = ScriptTraining(parse_target([*words, "train.py"]), directory=place)
    recorder = Recorder(Trial({}, 7, noise or Scale(1)), place / "trial")
    return training.train(recorder), place / "trial"


def alone(noise):
    """The training of both ranks in this process: the gradient is the mean of theirs."""
    scope = {}
    exec(DATA, scope)
    net = scope["network"]()
    optimizer = perturb(torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), noise)
    for step in range(STEPS):
        gradients = [torch.autograd.grad(scope["loss"](net, step, rank), net.parameters()) for rank in range(WORLD)]
        for parameter, *parts in zip(net.parameters(), *gradients, strict=True):
            parameter.grad = parts[0] / WORLD + parts[1] / WORLD
        optimizer.step()
    return dict(net.named_parameters())


def assert_trained_as(noise, directory):
    kept = load_file(directory / "weights" / f"{STEPS:09d}.safetensors")
    expected = alone(noise)
    assert {name: tensor.tolist() for name, tensor in kept.items()} == {
        name: tensor.tolist() for name, tensor in expected.items()
    }


def test_every_rank_of_torchrun_meets_the_noise_and_rank_0_counts(place):
    body = DDP + "main(int(os.environ['RANK']))"
    notes, directory = trained(place, body, "torchrun", "--nproc-per-node", "2", noise=Scale(3))
    assert_trained_as(Scale(3), directory)
    assert (notes.steps, notes.rank, notes.world, notes.processes) == (STEPS, 0, 2, 2)
    assert (notes.doubts, notes.remarks) == ([], [])
    assert {Path(file).name for file in notes.sources} == {"train.py", "data.py"}
    assert notes.fingerprint["threads"] == 1
    output = directory / "output"
    first, second = (output / name for name in ("stdout.txt", "rank1.stdout.txt"))
    assert [file.read_text().split()[:2] for file in (first, second)] == [["rank", "0"], ["rank", "1"]]
    assert first.read_text().split()[2:] == second.read_text().split()[2:]
    assert sorted(path.name for path in directory.iterdir()) == ["metrics.jsonl", "output", "weights"]


SPAWNED = """
if __name__ == "__main__":
    torch.multiprocessing.start_processes(main, (f"file://{os.getcwd()}/meet",), 2, start_method="METHOD")
"""
SHARDED = """
from torch.distributed.fsdp import fully_shard
from torch.distributed.device_mesh import init_device_mesh
def wrapped(net):
    return fully_shard(net, mesh=init_device_mesh("cpu", (2,)))
"""


@pytest.mark.parametrize(
    ("method", "wrapping", "noise"), [("spawn", "", Rounding(0.3, 1)), ("fork", SHARDED, Scale(3))]
)
def test_ranks_that_the_script_starts_itself(place, method, wrapping, noise):
    """A noise of random draws is the same on each rank; weights that are split over ranks are put together."""
    notes, directory = trained(place, DDP + wrapping + SPAWNED.replace("METHOD", method), noise=noise)
    assert_trained_as(noise, directory)
    assert (notes.processes, notes.doubts, notes.remarks) == (2, [], [])
    assert (directory / "output" / "rank1.stdout.txt").read_text().startswith("rank 1 ran")


START = "import subprocess, sys\nsubprocess.run([sys.executable, {0}, '-c', {1!r}], check=True{2})\n"


@pytest.mark.parametrize(("option", "environment"), [("'-E'", ""), ("'-u'", ", env={}")])
def test_a_process_with_an_environment_of_its_own_is_said(place, option, environment):
    with pytest.raises(UntrainedError, match=r"started another .*none that trained met the noise"):
        trained(place, START.format(option, "pass", environment))


def test_the_error_of_a_process_that_the_script_started_is_shown(place):
    with pytest.raises(ScriptError, match=r"train.py ended with exit code 1") as found:
        trained(place, START.format("'-u'", "import torch; 1 / 0", ""))
    assert found.value.said.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_what_the_script_leaves_behind_is_killed_with_it(place):
    child = "import torch, os; open('child', 'w').write(str(os.getpid())); import time; time.sleep(600)"
    body = (
        "import subprocess, sys, time, os\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n"
        "while not os.path.exists('child') or not open('child').read(): time.sleep(0.01)\nsys.exit(3)\n"
    )
    with pytest.raises(ScriptError, match="exit code 3"):
        trained(place, body)
    process = int((place / "child").read_text())
    assert not Path(f"/proc/{process}").exists() or "Z" in Path(f"/proc/{process}/stat").read_text()


def test_another_sitecustomize_is_imported_too_and_the_path_is_left_as_it_was(tmp_path):
    startup = Path(processes.__file__).parent / "startup"
    (tmp_path / "sitecustomize.py").write_text("import sys; print('other', __file__)")
    shown = "import sys, sitecustomize; print(*sys.path); print(sitecustomize.__file__, *map(type, sys.meta_path))"
    plain, ours = (
        subprocess.run(
            [sys.executable, "-c", shown],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        for path in (str(tmp_path), f"{startup}{os.pathsep}{tmp_path}")
    )
    assert plain.stdout.startswith("other")
    assert (ours.stdout, ours.stderr) == (plain.stdout, plain.stderr)


def test_trials_wait_until_the_cores_of_all_their_processes_are_free():
    cores, at_a_time, most, lock = Cores(4, 2), [0], [0], threading.Lock()

    def trial():
        with cores.taken():
            with lock:
                at_a_time[0] += 1
                most[0] = max(most[0], at_a_time[0])
            time.sleep(0.02)
            with lock:
                at_a_time[0] -= 1

    threads = [threading.Thread(target=trial) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2]
    cores.processes = 9
    with cores.taken():
        assert cores.side_by_side == 1
