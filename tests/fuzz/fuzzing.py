"""What the fuzzers share: commands run in this process, mutations, and how many inputs there were."""

import contextlib
import copy
import io
import json
import random
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import typer
from hypothesis import HealthCheck, Phase, settings

from lastbit.cli import commands as program
from lastbit.cli.main import main

SECONDS = 60  # that an input may take, on a busy machine too; the slowest draws a page in one
_COMMAND = typer.main.get_command(program.app)  # built once: building it takes longer than most inputs

# Values of every type and of odd size, and text that HTML, markup, terminals and paths would take for something else.
SCALARS = [
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**63), 10**300, 0.5, -0.0, 1e308, 1e-308, -1.5),
    *("", "x", "nan", "inf", "1", "../x", "/", "a/b", "9" * 400, "é" * 50, " ", "\n", "\\", "'", '"', "{}", "%s"),
    *("<script>alert(1)</script>", "</script><b>", "[red]", "[/]", "\x1b[2J", "\u202e", "${x}", "{{ x }}", "datum.x"),
]
CONTAINERS = [[], {}, [[]], [None], [1, "a"], {"": None}, {"a": {"b": []}}, [0] * 50, [[[[[[1]]]]]]]
HOSTILE = [*SCALARS, *CONTAINERS]


class HangError(BaseException):  # which no command may take for an error of its own
    """An input took too long."""


class BegunError(BaseException):
    """Every check was passed and real work would have begun."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def inputs(count: int) -> settings:
    """Hypothesis's settings for so many inputs, without what costs more than they do."""
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    """End the block with `HangError` where it takes too long."""

    def ring(number, frame):
        raise HangError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(*arguments: object) -> Ended:
    """Run `lastbit ARGUMENTS` through its own `main`, and check how it ended.

    Raises:
        AssertionError: it ended in another way than a person can use.
        HangError: it did not end.
    """
    out, err = io.StringIO(), io.StringIO()
    argv, built = sys.argv, program.app
    sys.argv, program.app = ["lastbit", *map(str, arguments)], _COMMAND
    try:
        with deadline(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        return _checked(Ended(int(ended.code or 0), out.getvalue(), err.getvalue()))
    finally:
        sys.argv, program.app = argv, built
    raise AssertionError("main returned without an exit status")


def _checked(ended: Ended) -> Ended:
    said = ended.err
    assert ended.code in (0, 1, 2), ended
    assert "Traceback" not in said, ended
    assert "\x1b" not in ended.out + said, ended
    if ended.code == 2:
        assert said.startswith("lastbit: "), ended
        assert said.count("\n") == 1, ended
        assert len(said) < 5000, ended
    (ended.out + said).encode()
    return ended


def check_line(error: ValueError) -> None:
    """Check that an error is one line that a person can read."""
    said = str(error)
    assert said
    assert "\n" not in said
    assert len(said) < 20_000


def mutated(content: object, chance: random.Random) -> object:
    """JSON with one or two values replaced, removed, doubled or renamed."""
    changed = copy.deepcopy(content)
    for _ in range(chance.choice((1, 1, 2))):
        _mutate(changed, chance)
    return changed


def _mutate(content: object, chance: random.Random) -> None:
    parent = content
    while True:
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        if not keys:
            return None
        key = chance.choice(keys)
        child = parent[key]
        if not isinstance(child, dict | list) or not child or chance.random() < 0.25:
            return _replace(parent, key, chance)
        parent = child


def _replace(parent: dict | list, key: object, chance: random.Random) -> None:
    way = chance.random()
    if way < 0.12:
        del parent[key]
    elif way < 0.2 and isinstance(parent, list):
        parent.extend([copy.deepcopy(parent[key])] * chance.choice((1, 20)))
    elif way < 0.25 and isinstance(parent, dict):
        parent[str(chance.choice(SCALARS))] = parent.pop(key)
    else:
        parent[key] = copy.deepcopy(chance.choice(HOSTILE))


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Bytes with some flipped, cut out, put in or cut short."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 3))):
        place, way = chance.randrange(len(changed) + 1), chance.random()
        if way < 0.4 and place < len(changed):
            changed[place] ^= 1 << chance.randrange(8)
        elif way < 0.6:
            del changed[place : place + chance.choice((1, 8, 500))]
        elif way < 0.8:
            changed[place:place] = chance.choice((b"\x00", b"[" * 2000, b"1" * 5000, b"\xff", b'"', b"}", b"\n", b"-"))
        else:
            del changed[place:]
    return bytes(changed)


def as_bytes(content: object) -> bytes:
    """JSON as it may come from anywhere: NaN and huge numbers included."""
    return json.dumps(content).encode()
