import pytest

from lastbit.errors import LastbitError
from lastbit.script import Target
from lastbit.script.launchers import check_launched, cores_for, launch_of
from lastbit.script.trace.recording import record_trace
from lastbit.script.training import ScriptTraining

TORCHRUN = [
    ("command", "torchrun"),
    ("file", ".venv/bin/torchrun"),
    ("module", "torch.distributed.run"),
    ("module", "torch.distributed.launch"),
]


def of(words, kind="command", name="torchrun"):
    return Target(kind, name, tuple(words.split()))


@pytest.mark.parametrize(("kind", "name"), TORCHRUN)
def test_torchruns_arguments_are_read_under_each_of_its_names(kind, name):
    launch = launch_of(of("--nproc-per-node 3 train.py --lr 0.1", kind, name))
    assert launch.target == Target("file", "train.py", ("--lr", "0.1"))
    assert (launch.processes, launch.port) == (3, None)


@pytest.mark.parametrize(
    ("words", "port"),
    [
        ("--standalone --nproc_per_node=2 -m pkg.train", None),
        ("--rdzv-backend=c10d --rdzv-endpoint=localhost:0 -m pkg.train", None),
        ("--rdzv-backend=c10d --rdzv-endpoint=localhost:29401 -m pkg.train", "--rdzv-endpoint localhost:29401"),
        ("--master_port=29511 -m pkg.train --master-port 3", "--master-port 29511"),
        ("--nproc-per-node 2 -m pkg.train --master-port 1234", None),
        ("--master_p 555 -m pkg.train", "--master-port 555"),
        ("--master-po=555 -m pkg.train", "--master-port 555"),
    ],
)
def test_a_port_is_known_where_one_is_fixed(words, port):
    launch = launch_of(of(words))
    assert launch.target.kind == "module"
    assert launch.port == port


def test_accelerates_processes_are_known_after_the_first_trial_alone():
    launch = launch_of(of("launch --num_processes 2 --main_process_port 29511 train.py --lr 1", name="accelerate"))
    assert (launch.processes, launch.port) == (None, "--main_process_port 29511")
    assert launch.target == Target("file", "train.py", ("--lr", "1"))
    assert launch_of(of("config", name="accelerate")) is None


@pytest.mark.parametrize("target", [Target("file", "train.py"), Target("module", "torch.utils.collect_env")])
def test_what_is_no_launcher(target):
    assert launch_of(target) is None
    assert cores_for(target, 4).side_by_side == 4


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--nnodes 2 train.py", "--nnodes 2: only the processes of this machine"),
        ("--nnodes 1:4 train.py", "--nnodes 1:4: only"),
        ("--nproc-per-node many train.py", "torchrun: Unsupported nproc_per_node value: many"),
        ("--nproc-per-node 2", "torchrun: the following arguments are required: training_script"),
        ("--help", "torchrun: its help was asked for"),
        ("--master-port 29511 --nproc-per-node 2 train.py", "--master-port 29511: runs at a time would meet there"),
    ],
)
def test_arguments_that_cannot_be_followed(words, complaint, capsys):
    with pytest.raises(LastbitError, match=complaint):
        cores_for(of(words), 4)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "name", "complaint"),
    [
        ("--nproc-per-node 2 trian.py --lr 1", "torchrun", "there is no script trian.py in .*: did you mean train.py"),
        ("-m no.such.module", "torchrun", "there is no module no.such.module"),
        ("launch trian.py", "accelerate", "there is no script trian.py"),
    ],
)
def test_a_script_that_a_launcher_would_not_find_is_refused_before_it_starts(tmp_path, words, name, complaint):
    (tmp_path / "train.py").touch()
    with pytest.raises(LastbitError, match=complaint):
        check_launched(of(words, name=name), tmp_path)


@pytest.mark.parametrize("words", ["train.py --lr 1", "-m timeit", "--no-python true"])
def test_what_a_launcher_finds_is_started(tmp_path, words):
    (tmp_path / "train.py").touch()
    check_launched(of(words), tmp_path)
    check_launched(Target("file", "train.py"), tmp_path)
    training = ScriptTraining(of(words), directory=tmp_path)
    training.check()
    assert (training.script is None) is ("--no-python" in words)


def test_ranks_are_not_recorded_beside_those_of_another_trace(tmp_path):
    (tmp_path / "A.trace.rank1").write_text("mine")
    with pytest.raises(LastbitError, match=r"A\.trace\.rank1 is there already, and would be mixed with the ranks of"):
        record_trace(of("--nproc-per-node 2 train.py"), tmp_path / "A.trace")
    assert [path.name for path in tmp_path.iterdir()] == ["A.trace.rank1"]


@pytest.mark.parametrize(("workers", "at_a_time"), [(1, 1), (2, 1), (4, 2), (None, None)])
def test_a_trial_takes_a_core_for_each_of_its_processes(workers, at_a_time):
    assert cores_for(of("--nproc-per-node 2 train.py"), workers).side_by_side == at_a_time
