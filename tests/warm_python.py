"""Python processes forked from one that has imported torch: a test that starts many waits milliseconds for each.

A forked process is as fresh as one started by `python` but for the imported libraries, none of which is lastbit; it
ends after the functions of `atexit`. What is tested about the start of a process itself, its last moments, or what it
imports, needs a real one.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from multiprocessing import Pipe
from types import SimpleNamespace

LIBRARIES = ("torch", "torch._dynamo", "torch.utils.data", "numpy", "pydantic", "safetensors.torch")
# Of lastbit's commands, beside those of the programs that they run.
OF_COMMANDS = ("scipy.optimize", "scipy.sparse.linalg", "scipy.stats", "typer", "rich.progress", "altair", "jinja2")

# Its frames are of the file <string>, as those of lastbit's own start of a program, which cuts them from tracebacks.
_SERVER = """
import atexit, gc, importlib.machinery, json, os, runpy, signal, socket, sys, threading, types

def serve(server):
    while True:
        order, files, *_ = socket.recv_fds(server, 1 << 22, 3)
        if not order:
            os._exit(0)
        name, value = json.loads(order)
        if name == "start":
            answer = os.fork()
            if answer == 0:
                server.close()
                for number, file in enumerate(files):
                    os.dup2(file, number)
                return value
            for file in files:
                os.close(file)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(value, 0)[1])
        server.sendall(json.dumps(answer).encode())

def run(words, environment, place, group):
    if group:
        os.setpgid(0, 0)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    sys.orig_argv = words
    sys.modules["torch"].default_generator.seed()  # a fork has its parent's state; an import takes one from the system
    sys.modules["numpy"].random.seed()
    sys.path[:0] = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(write_through=True)
    kind, *rest = words[1:] if words[1] != "-P" else words[2:]
    if kind == "-m":
        sys.path.insert(0, place)
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        if words[1] != "-P":
            sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(main))
    else:
        file = os.path.join(place, kind)
        sys.path.insert(0, os.path.dirname(os.path.realpath(file)))
        sys.argv = words[1:]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        loader = importlib.machinery.SourceFileLoader("__main__", file)
        vars(main).update(__file__=file, __loader__=loader, __cached__=None)
        exec(loader.source_to_code(loader.get_data(file), file), vars(main))

del sys.path[0]
usual = list(sys.path)
sys.path += sys.argv[3].split(os.pathsep)
for library in sys.argv[2].split():
    importlib.import_module(library)
sys.path[:] = usual
gc.freeze()
order = serve(socket.socket(fileno=int(sys.argv[1])))
try:
    run(*order)
    code = 0
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    if not isinstance(end.code, int | None):
        print(end.code, file=sys.stderr)
except KeyboardInterrupt:
    sys.excepthook(*sys.exc_info())
    code = -signal.SIGINT
except BaseException:
    sys.excepthook(*sys.exc_info())
    code = 1
threading._shutdown()
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
if code == -signal.SIGINT:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
os._exit(code & 255)  # Python would now take apart what the libraries made, for longer than most programs run
"""


class WarmPython:
    """Processes that have imported libraries and are forked for every command: one for each seed of Python's hashes."""

    def __init__(self, *libraries):
        """Import nothing yet: a server is started when it is first needed."""
        self._libraries, self._servers, self._starting = (*LIBRARIES, *libraries), {}, threading.Lock()
        # Takes the place of the module where that is imported as `subprocess`.
        self.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": self.Popen, "run": self.run})

    def Popen(self, command, *, env=None, cwd=None, stdin=None, stdout=None, stderr=None, process_group=None):  # noqa: N802
        """Start `python ...` as `subprocess.Popen` would; files are file objects, numbers or subprocess's constants."""
        assert command[0] == sys.executable, command
        assert stderr != subprocess.PIPE != stdout
        with open(os.devnull, "r+b") as devnull:  # noqa: PTH123
            files = [devnull if file == subprocess.DEVNULL else file for file in (stdin, stdout, stderr)]
            files[2] = files[1] if files[2] == subprocess.STDOUT else files[2]
            numbers = [_number(file, own) for own, file in enumerate(files)]
            environment = dict(os.environ if env is None else env)
            order = [list(command), environment, os.path.abspath(cwd or "."), process_group == 0]  # noqa: PTH100
            server = self._server(environment.get("PYTHONHASHSEED", "0"))
            return WarmProcess(server.ask, server.ask("start", order, numbers))

    def run(self, command, *, env=None, cwd=None, check=False, capture_output=True, text=True):
        """Run `python ...` to its end as `subprocess.run` with these options would."""
        assert capture_output
        assert text
        with _memory("out") as out, _memory("err") as err:
            code = self.Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=err).wait()
            texts = [_read(file) for file in (out, err)]
        ended = subprocess.CompletedProcess(command, code, *texts)
        if check:
            ended.check_returncode()
        return ended

    def close(self):
        """End the servers."""
        for server in self._servers.values():
            server.close()

    def _server(self, hash_seed):
        with self._starting:
            if hash_seed not in self._servers:
                # A program that is audited is given a seed, and a command is not.
                libraries = self._libraries + (OF_COMMANDS if hash_seed == "0" else ())
                self._servers[hash_seed] = _Server(hash_seed, libraries)
            return self._servers[hash_seed]


class _Server:
    """A process that is forked, and the pipe to it."""

    def __init__(self, hash_seed, libraries):
        self._pipe, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1"}
        words = [sys.executable, "-c", _SERVER, str(theirs.fileno()), " ".join(libraries), os.pathsep.join(sys.path)]
        self._process = subprocess.Popen(words, env=environment, pass_fds=[theirs.fileno()], cwd="/")
        self._one_question = threading.Lock()
        theirs.close()

    def ask(self, name, value, files=()):
        with self._one_question:
            socket.send_fds(self._pipe, [json.dumps([name, value]).encode()], files)
            return json.loads(self._pipe.recv(100))

    def close(self):
        self._pipe.close()
        self._process.wait()


class WarmProcess:
    """A forked process, spoken of as `subprocess.Popen` would."""

    def __init__(self, ask, pid):
        self._ask, self.pid, self.returncode = ask, pid, None
        self._over, self._collecting = os.pidfd_open(pid), threading.Lock()

    def wait(self, timeout=None):
        with self._collecting:
            if self.returncode is None:
                if not select.select([self._over], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("python", timeout)
                self.returncode = self._ask("wait", self.pid)
                os.close(self._over)
            return self.returncode

    def poll(self):
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number):
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class WarmContext:
    """What `lastbit.execution.pool` takes of `multiprocessing`'s spawn context."""

    def __init__(self, python):
        self.python, self.Pipe = python, Pipe

    def Process(self, *, target, args, daemon):  # noqa: N802
        """A worker process that is not started yet."""
        assert daemon
        return _Worker(self.python, target, args[0])


class _Worker:
    """A worker process; the pipe is its standard input."""

    def __init__(self, python, target, pipe):
        self._python, self._pipe = python, pipe
        self._program = (
            f"import sys; sys.path[:] = {sys.path!r}; from multiprocessing.connection import Connection;"
            f"from {target.__module__} import {target.__name__} as serve; serve(Connection(0))"
        )

    def start(self):
        self._process = self._python.Popen([sys.executable, "-c", self._program], stdin=self._pipe)

    def join(self):
        self._process.wait()

    def kill(self):
        self._process.kill()

    @property
    def exitcode(self):
        return self._process.poll()


def _number(file, own):
    return own if file is None else file if isinstance(file, int) else file.fileno()


def _memory(name):
    return os.fdopen(os.memfd_create(name), "w+b")


def _read(file):
    file.seek(0)
    return file.read().decode()
