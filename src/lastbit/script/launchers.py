"""What launchers are asked to start: how many processes, of which script, and whether at a port of their own choice.

torchrun's and Accelerate's own parsers read their arguments. Of other launchers, and of scripts that start processes
themselves, nothing is known before the first trial has shown it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.script.processes import Cores
from lastbit.script.target import FILE, MODULE, Target, parse_target

_TORCHRUN = ("torchrun", "torch.distributed.run")
_LAUNCH = "torch.distributed.launch"  # the older name of torchrun, with an option more
_ACCELERATE = ("accelerate-launch", "accelerate.commands.launch")
_ACCELERATE_CLI = ("accelerate", "accelerate.commands.accelerate_cli")  # before the word `launch`


@dataclass(frozen=True)
class Launch:
    """What a launcher's command line says."""

    target: Target  # what every process runs
    processes: int | None  # None where only the first trial can show it
    port: str | None  # an option that fixes a port or an address, as it is written
    is_any_program: bool = False  # rather than a script or a module for Python

    def path(self, directory: Path | None = None) -> Path | None:
        """The file of the code that every process runs; None where it may be no Python, as with `--no-python`.

        Args:
            directory: where the launcher runs; the present directory by default.
        """
        return None if self.is_any_program else self.target.path(directory)


def cores_for(target: Target, workers: int | None) -> Cores:
    """The cores that the trials of a target share, each taking one for each process that a launcher is asked for.

    Args:
        target: what is run for each trial.
        workers: processes at a time; None where nobody knows, as on a cluster.

    Raises:
        LastbitError: trials at a time would meet at a port; or as `launch_of`.
    """
    launch = launch_of(target)
    if launch is None:
        return Cores(workers)
    cores = Cores(workers, launch.processes)
    if launch.port is not None and cores.side_by_side != 1:
        raise LastbitError(
            f"{launch.port}: runs at a time would meet there; leave it out, and each run gets a free port, or let one"
            " run at a time, with --workers 1"
        )
    return cores


def launch_of(target: Target) -> Launch | None:
    """What a launcher will start; None for a target that is no launcher known here.

    Raises:
        LastbitError: its arguments are wrong, or ask for several machines.
    """
    name = target.name if target.kind == MODULE else Path(target.name).name
    words = target.arguments
    if name in _TORCHRUN:
        return _torchrun(name, words, _torchrun_parser)
    if name == _LAUNCH:
        return _torchrun(name, words, _launch_parser)
    if name in _ACCELERATE_CLI and words[:1] == ("launch",):
        return _accelerate("accelerate launch", words[1:])
    return _accelerate(name, words) if name in _ACCELERATE else None


def check_launched(target: Target, directory: Path | None = None) -> None:
    """Check that there is the script that a launcher will start, which else each of its processes would report.

    Args:
        target: what is run; one that is no launcher is not looked at.
        directory: where it is to run; the present directory by default.

    Raises:
        LastbitError: as `launch_of`; or as `parse_target`, of what every process runs.
    """
    launch = launch_of(target)
    # `--no-python` starts a program of any kind, which is found on the PATH.
    if launch is not None and not launch.is_any_program:
        parse_target(launch.target.words, directory)


def _torchrun_parser() -> Callable[[Sequence[str]], Any]:
    from torch.distributed.run import get_args_parser

    return get_args_parser().parse_args


def _launch_parser() -> Callable[[Sequence[str]], Any]:
    from torch.distributed.launch import parse_args

    parse: Callable[[Sequence[str]], Any] = parse_args
    return parse


def _torchrun(name: str, words: Sequence[str], parser: Callable[[], Callable[[Sequence[str]], Any]]) -> Launch:
    from torch.distributed.run import determine_local_world_size, parse_min_max_nnodes

    given = _parsed(name, parser(), words)
    try:
        nodes = parse_min_max_nnodes(given.nnodes)[1]
        processes = determine_local_world_size(given.nproc_per_node)
    except (RuntimeError, ValueError) as error:
        raise LastbitError(f"{name}: {error}") from None
    _refuse_nodes(f"--nnodes {given.nnodes}", nodes)
    target = Target(MODULE if given.module else FILE, given.training_script, tuple(given.training_script_args))
    port = None
    if not given.standalone and given.rdzv_endpoint and not given.rdzv_endpoint.endswith(":0"):
        port = f"--rdzv-endpoint {given.rdzv_endpoint}"
    elif not given.standalone and _fixes_port(words[: len(words) - len(given.training_script_args) - 1]):
        port = f"--master-port {given.master_port}"
    return Launch(target, processes, port, given.no_python)


def _accelerate(name: str, words: Sequence[str]) -> Launch:
    launch_command_parser = import_module("accelerate.commands.launch").launch_command_parser

    given = _parsed(name, launch_command_parser().parse_args, words)
    _refuse_nodes(f"--num_machines {given.num_machines}", given.num_machines or 1)
    target = Target(MODULE if given.module else FILE, given.training_script, tuple(given.training_script_args))
    port = f"--main_process_port {given.main_process_port}" if given.main_process_port else None
    # Without the option its configuration file decides, and on a CPU without MPI there is one process whatever it says.
    return Launch(target, None, port, given.no_python)


def _parsed(name: str, parse: Callable[[Sequence[str]], Any], words: Sequence[str]) -> Any:
    said = io.StringIO()
    try:
        # Help goes to standard output, and would be taken for this command's own.
        with redirect_stderr(said), redirect_stdout(io.StringIO()):
            return parse(list(words))
    except SystemExit:
        last = (said.getvalue().strip() or "its help was asked for").splitlines()[-1]
        raise LastbitError(f"{name}: {last.partition('error: ')[2] or last}") from None


def _refuse_nodes(option: str, nodes: int) -> None:
    if nodes > 1:
        raise LastbitError(f"{option}: only the processes of this machine are followed, so one node is allowed")


def _fixes_port(words: Sequence[str]) -> bool:
    """Whether `--master-port`, or what argparse takes for it, is among a launcher's own words."""
    return any(word.replace("_", "-").startswith("--master-p") for word in words)
