"""Calls in a program's source whose values change from run to run, and what to do about them."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CLOCK, PROCESS, ENTROPY, NAMES = "clock", "process", "entropy", "names"
HASH, ORDER, ENVIRONMENT = "hash", "order", "environment"

_CALLS = {
    CLOCK: (
        "time.time time.time_ns time.perf_counter time.perf_counter_ns time.monotonic time.monotonic_ns "
        "time.process_time time.process_time_ns time.thread_time time.thread_time_ns time.clock_gettime "
        "time.clock_gettime_ns time.localtime time.gmtime time.ctime time.strftime os.times timeit.default_timer "
        "datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today "
        "os.getloadavg resource.getrusage psutil.cpu_percent psutil.virtual_memory"
    ),
    PROCESS: "os.getpid os.getppid threading.get_ident threading.get_native_id",
    ENTROPY: (
        "os.urandom secrets.randbelow secrets.randbits secrets.token_bytes secrets.token_hex secrets.choice "
        "uuid.uuid1 uuid.uuid4 random.SystemRandom torch.seed torch.random.seed"
    ),
    HASH: "hash id set frozenset",
    ORDER: (
        "os.listdir os.scandir os.walk glob.glob glob.iglob concurrent.futures.as_completed concurrent.futures.wait "
        "threading.Thread concurrent.futures.ThreadPoolExecutor"
    ),
    NAMES: "tempfile.mkdtemp tempfile.mkstemp tempfile.mktemp tempfile.NamedTemporaryFile tempfile.TemporaryDirectory",
    ENVIRONMENT: "os.getenv os.environ.get",
}
_CATEGORIES = {name: category for category, names in _CALLS.items() for name in names.split()}
_UNSEEDED = {  # random only where no seed is given
    "random.Random",
    "random.seed",
    "numpy.random.default_rng",
    "numpy.random.seed",
    "numpy.random.RandomState",
    "numpy.random.SeedSequence",
    "numpy.random.Generator",
}
# What a call of each category does, and what to do about it.
MEANING = {
    CLOCK: ("reads the clock", "count steps or epochs instead of time"),
    PROCESS: ("depends on the process's or thread's number", "use a fixed number, or the worker's rank"),
    ENTROPY: ("draws from the system's entropy, unseeded", "draw from a generator with a fixed seed"),
    HASH: ("depends on Python's hashes or addresses", "sort before use; PYTHONHASHSEED=0 fixes hashes of strings"),
    ORDER: ("gives things in the order in which the system happens to", "sort them, or collect results by their index"),
    NAMES: ("makes a random name", "do not compute anything from the name"),
    ENVIRONMENT: ("reads the environment", "pass the value as an argument"),
}
_METHODS = {"iterdir": ORDER, "rglob": ORDER, "imap_unordered": ORDER}
_SORTED = {"sorted", "len", "min", "max", "any", "all"}  # give the same for any order


@dataclass(frozen=True)
class VaryingCall:
    """A call whose value differs from run to run."""

    category: str
    call: str  # such as `os.urandom()`
    file: str
    line: int
    function: tuple[int, int]  # first and last line of the function around it, or of the file

    @property
    def where(self) -> str:
        """File and line, as `train.py:12`."""
        return f"{Path(self.file).name}:{self.line}"


def find_varying_calls(file: Path) -> list[VaryingCall]:
    """Read a Python file, without running it, for calls whose values change from run to run; empty if unreadable."""
    tree = parsed(file)
    if tree is None:
        return []
    aliases = aliases_in(tree)
    calls = [_varying_call(node, scope, aliases, str(file)) for node, scope in _nodes(tree, (1, 1 << 30))]
    return [call for call in calls if call is not None]


def parsed(file: Path) -> ast.Module | None:
    """A Python file's syntax tree, without running it; None where it cannot be read."""
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _nodes(node: ast.AST, scope: tuple[int, int]) -> Iterator[tuple[ast.AST, tuple[int, int]]]:
    """Every node with the lines of the function around it, but for those whose order does not matter."""
    yield node, scope
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        scope = (node.lineno, node.end_lineno or node.lineno)
    orderless = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SORTED
    membership = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn)
    for child in ast.iter_child_nodes(node):
        if not ((orderless or membership) and _is_collection(child)):
            yield from _nodes(child, scope)


def _is_collection(node: ast.AST) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    name = _dotted(node.func) if isinstance(node, ast.Call) else None
    return name is not None and (_CATEGORIES.get(name) in (HASH, ORDER) or name.split(".")[-1] in _METHODS)


def _varying_call(node: ast.AST, scope: tuple[int, int], aliases: Mapping[str, str], file: str) -> VaryingCall | None:
    if isinstance(node, ast.Set | ast.SetComp):
        return VaryingCall(HASH, "a set", file, node.lineno, scope)
    if isinstance(node, ast.Subscript) and full_name(node.value, aliases) == "os.environ":
        return VaryingCall(ENVIRONMENT, "os.environ", file, node.lineno, scope)
    if not isinstance(node, ast.Call):
        return None
    category = category_of(node, aliases)
    return None if category is None else VaryingCall(*category, file, node.lineno, scope)


def category_of(call: ast.Call, aliases: Mapping[str, str]) -> tuple[str, str] | None:
    """The category of a call, and the call as `os.urandom()`; None where it gives the same in every run."""
    name = full_name(call.func, aliases)
    category = _CATEGORIES.get(name) or _METHODS.get(name.split(".")[-1])
    if category is None and name in _UNSEEDED and not call.args and not call.keywords:
        category = ENTROPY
    return None if category is None else (category, f"{name}()")


def aliases_in(tree: ast.AST) -> dict[str, str]:
    """What a file's imported names stand for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {name.asname: name.name for name in node.names if name.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    return names


def full_name(node: ast.AST, aliases: Mapping[str, str]) -> str:
    """The dotted name of an expression, with what was imported under another name written out."""
    first, dot, rest = (_dotted(node) or "").partition(".")
    return aliases.get(first, first) + dot + rest


def _dotted(node: ast.AST) -> str | None:
    """`os.path.join` for the expression that it is written as; the last name alone of what is called on a value."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value) or ''}.{node.attr}"
    return None
