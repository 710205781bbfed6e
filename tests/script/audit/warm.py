"""Processes that have imported torch already, from which a test forks the runs of an audit in milliseconds."""

import multiprocessing
import os
import sys
import time
import traceback
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib import import_module

from lastbit.script.audit.instruments import record
from lastbit.script.launch import launch


class WarmProcess:
    """A forked run, spoken of as `subprocess.Popen` would."""

    def __init__(self, pipe, run):
        self._pipe = pipe
        settings, environment = dict(run.settings), dict(run.environment)
        self._pid = self._ask("start", run.target, settings, environment, str(run.output))

    def poll(self):
        return self._ask("poll", self._pid)

    def kill(self):
        self._ask("kill", self._pid)

    def wait(self):
        while (code := self.poll()) is None:
            time.sleep(0.01)
        return code

    def _ask(self, *question):
        self._pipe.send(question)
        return self._pipe.recv()


@contextmanager
def warm_start(*modules):
    """Give a `start` for `audit`: each side is forked from a process of its own with its own seed of Python's hashes.

    Args:
        modules: to import beforehand.

    A run without settings is that of the program alone.
    """
    context = multiprocessing.get_context("spawn")
    pipes, servers = [], []
    for side in (0, 1):
        ours, theirs = context.Pipe()
        os.environ["PYTHONHASHSEED"] = str(side + 1)
        servers.append(context.Process(target=_serve, args=(theirs, modules)))
        servers[-1].start()
        theirs.close()
        pipes.append(ours)
    del os.environ["PYTHONHASHSEED"]
    try:
        yield lambda run: WarmProcess(pipes[run.side], run)
    finally:
        for pipe, server in zip(pipes, servers, strict=True):
            pipe.close()
            server.join()


def _serve(pipe, modules):
    for module in ("torch._dynamo", "torch.utils.data", *modules):
        import_module(module)
    ended = {}
    while True:
        try:
            order, *arguments = pipe.recv()
        except EOFError:
            return
        pipe.send({"start": _start, "poll": partial(_poll, ended), "kill": partial(_kill, ended)}[order](*arguments))


def _start(target, settings, environment, output):
    pid = os.fork()
    if pid == 0:
        os._exit(_run(target, settings, environment, output))
    return pid


def _run(target, settings, environment, output):
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
    os.chdir(environment["PWD"])
    multiprocessing.set_start_method(None, force=True)  # a program's loaders fork their workers, as they would
    try:
        launch(target, partial(record, settings) if settings else nullcontext)
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _poll(ended, pid):
    if pid not in ended:
        waited, status = os.waitpid(pid, os.WNOHANG)
        if waited == pid:
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended.get(pid)


def _kill(ended, pid):
    if _poll(ended, pid) is None:
        os.kill(pid, 9)
        ended[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
