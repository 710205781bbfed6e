"""Decisions in a program's source that it may take otherwise in the next run, though two runs in step agreed."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from lastbit.errors import shortened
from lastbit.script.audit.evidence import Summary
from lastbit.script.audit.varying_calls import CLOCK, ENTROPY, PROCESS, aliases_in, category_of, full_name, parsed

_STEERS = (CLOCK, PROCESS, ENTROPY)
# What these start, or end, comes after so much time.
_TIMERS = ("threading.Timer", "signal.alarm", "signal.setitimer")
_TIME_LIMITS = ("max_time", "max_seconds", "max_hours", "time_limit", "time_budget")

_Source = tuple[str, str]  # category and call
_Function = ast.FunctionDef | ast.AsyncFunctionDef

_READS = {CLOCK: "the clock", PROCESS: "the process's or thread's number"}
_MOST_LINES = 4  # of a file, named


@dataclass(frozen=True)
class Decision:
    """A line that decides by what differs from run to run."""

    category: str
    call: str  # such as `time.monotonic()`
    file: str
    line: int


def find_decisions(files: Sequence[Path]) -> list[Decision]:
    """Read Python files, without running them, for conditions on the clock, the process or the system's entropy.

    Values are followed through assignments within a function or a file, and through what functions return. Files that
    cannot be read have none.
    """
    functions: dict[str, _Source] = {}
    readers = [reader for file in files if (reader := _reader(file, functions)) is not None]
    while sum(reader.learn() for reader in readers):
        pass
    decisions = {decision for reader in readers for decision in reader.decisions()}
    return sorted(decisions, key=lambda decision: (decision.file, decision.line))


def _reader(file: Path, functions: dict[str, _Source]) -> "_Reader | None":
    tree = parsed(file)
    return None if tree is None else _Reader(tree, str(file), functions)


class _Reader:
    """Knows which names in a file hold what differs from run to run, and by which call.

    Args:
        tree: the file.
        file: its path.
        functions: those of all files that return such values.
    """

    def __init__(self, tree: ast.AST, file: str, functions: dict[str, _Source]) -> None:
        self._nodes, self._file, self._functions = list(_scoped(tree, 0)), file, functions
        self._aliases = aliases_in(tree)
        self._names: dict[tuple[int, str], _Source] = {}  # by the line of the function around, 0 for the file

    def learn(self) -> bool:
        """Follow every assignment and return once; return whether there are new names that hold such a value."""
        known = len(self._names), len(self._functions)
        for node, scope in self._nodes:
            for name, value in _assigned(node):
                if (source := self._source(value, scope)) is not None:
                    self._names.setdefault((_scope_of(name, scope), _last(name)), source)
            if isinstance(node, _Function) and (source := self._returned(node)) is not None:
                self._functions.setdefault(node.name, source)
        return known != (len(self._names), len(self._functions))

    def decisions(self) -> Iterator[Decision]:
        """Every condition on such a value, and every call that lets time decide."""
        for node, scope in self._nodes:
            sources = [(self._source(condition, scope), condition.lineno) for condition in _conditions(node)]
            if isinstance(node, ast.Call):
                sources.append((_time_limit(node, self._aliases), node.lineno))
            yield from (Decision(*source, self._file, line) for source, line in sources if source is not None)

    def _returned(self, function: _Function) -> _Source | None:
        values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
        return next(filter(None, (self._source(value, function.lineno) for value in values)), None)

    def _source(self, value: ast.AST, scope: int) -> _Source | None:
        for node in ast.walk(value):
            if isinstance(node, ast.Call):
                source = category_of(node, self._aliases)
                if source is not None and source[0] in _STEERS:
                    return source
                if isinstance(node.func, ast.Name | ast.Attribute) and _last(node.func) in self._functions:
                    return self._functions[_last(node.func)]
            elif isinstance(node, ast.Name | ast.Attribute):
                near, far = (_scope_of(node, scope), _last(node)), (0, _last(node))
                if near in self._names or far in self._names:
                    return self._names.get(near) or self._names[far]
        return None


def _scoped(node: ast.AST, scope: int) -> Iterator[tuple[ast.AST, int]]:
    """Every node with the line of the function around it."""
    yield node, scope
    for child in ast.iter_child_nodes(node):
        yield from _scoped(child, node.lineno if isinstance(node, _Function) else scope)


def _scope_of(name: ast.Name | ast.Attribute, scope: int) -> int:
    """An attribute is seen from everywhere in a file."""
    return scope if isinstance(name, ast.Name) else 0


def _last(name: ast.Name | ast.Attribute) -> str:
    """The last part of a name: the attribute, where there is a dot."""
    return name.id if isinstance(name, ast.Name) else name.attr


def _assigned(node: ast.AST) -> Iterator[tuple[ast.Name | ast.Attribute, ast.AST]]:
    """The names that a statement gives a value, with that value."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            values = node.value.elts if isinstance(node.value, ast.Tuple) and len(parts) > 1 else []
            aligned = values if len(values) == len(parts) else [node.value] * len(parts)
            pairs = zip(parts, aligned, strict=True)
            yield from ((name, value) for name, value in pairs if isinstance(name, ast.Name | ast.Attribute))
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
        target, value = node.target, node.value
        if value is not None and isinstance(target, ast.Name | ast.Attribute):
            yield target, value


def _conditions(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield node.test
    elif isinstance(node, ast.comprehension):
        yield from node.ifs
    elif isinstance(node, ast.Match):
        yield node.subject
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        yield from node.args


def _time_limit(call: ast.Call, aliases: Mapping[str, str]) -> _Source | None:
    name = full_name(call.func, aliases)
    if name in _TIMERS:
        return CLOCK, f"{name}()"
    given = (
        word.arg for word in call.keywords if not (isinstance(word.value, ast.Constant) and word.value.value is None)
    )
    limit = next((word for word in given if word in _TIME_LIMITS), None)
    return None if limit is None else (CLOCK, f"{limit}=")


def notes(summaries: Sequence[Summary]) -> Iterator[str]:
    """Sentences about what the runs' comparison could not show: why the next two may differ although these agreed.

    Args:
        summaries: of the runs that left one.
    """
    if summaries:
        decisions = sorted(find_decisions([Path(file) for file in summaries[0].files]), key=_by_call)
        for _, group in groupby(decisions, lambda decision: (decision.call, decision.category)):
            yield _decides(list(group))
    if len(summaries) > 1:
        for name, state in (("Python's random", "python_state"), ("numpy.random", "numpy_state")):
            start = getattr(summaries[0].start, state)
            ends = [getattr(summary.end, state) for summary in summaries]
            if ends[0] != ends[1] and ends[0] != start:
                yield (
                    f"{name} was drawn from without a fixed seed: nothing that was compared depends on it, but what the"
                    " program decides by it may be otherwise in the next run"
                )


def _by_call(decision: Decision) -> tuple[str, str, str, int]:
    return decision.call, decision.category, decision.file, decision.line


def _decides(decisions: Sequence[Decision]) -> str:
    """A sentence on decisions by the same call."""
    call, category = decisions[0].call, decisions[0].category
    lines = [f"{Path(decision.file).name}:{decision.line}" for decision in decisions]
    where = shortened(lines, _MOST_LINES)
    read = _READS.get(category, "the system's entropy")
    waiting = ", and runs that wait for each other at every operation see nearly the same time" * (category == CLOCK)
    return f"{where} decides by {call}, which reads {read}{waiting}: plain runs may differ where these two agree"
