"""Watches the graphs that torch.compile makes: what each takes and gives, and what it is made of.

Dynamo gives up beside a dispatch mode unless the mode says that it ignores what is compiled. Then nothing inside a
graph is seen, so the graphs are caught where AOTAutograd hands them to a compiler, forward and backward.
"""

from __future__ import annotations

import functools
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from lastbit.script.audit.program import is_own, relative
from lastbit.script.hooks import after_import

_TRACED = "calls of torch.jit.trace: operations inside"
_COMPILES = hasattr(TorchDispatchMode, "ignore_compile_internals")  # else Dynamo leaves all as it is beside a mode
_EAGER = f"kernels of torch.compile: torch {torch.__version__} runs without them what is audited"
_COMPILERS = "torch._dynamo.backends.common"  # which every backend goes through that uses AOTAutograd
_DIFFERENTIATES = "aot_module_simplified"
_FRAME = re.compile(r'File "(.+)", line (\d+)')
_KINDS = ("fw_compiler", "bw_compiler", "inference_compiler")
# Compilers whose kernels no mode sees; what others give runs torch's operations one by one.
_OPAQUE = ("torch._inductor.", "torch._dynamo.backends.cudagraphs")


@dataclass(frozen=True)
class CompiledGraph:
    """A graph that was compiled, forward or backward."""

    number: int  # in the order of compilation, from 1; a graph and its backward have one
    recompiled: bool  # another graph was compiled for the same piece of the program before
    lines: tuple[str, str] | None  # of the program: that of its first operation, and of its last, as `train.py:12`
    code: str  # its operations, as torch.fx writes them
    kernels: int | None  # checksum of the source code that the compiler wrote; None where it shows none
    draws: bool  # random numbers
    changes: tuple[int, ...]  # positions of the inputs that it changes
    opaque: bool  # no mode sees what happens inside

    @property
    def name(self) -> str:
        """What it is called: `compiled graph 2`."""
        return f"compiled graph {self.number}"


@dataclass(frozen=True)
class GraphCounts:
    """How much of a program ran in compiled graphs."""

    graphs: int = 0  # a graph and its backward count once
    recompiled: int = 0  # of those, made for a piece of the program that had one
    calls: int = 0


class GraphWatcher(Protocol):
    """Meets every call of a compiled graph that computes something."""

    def run_graph(self, graph: CompiledGraph, inputs: Sequence[Any], run: Callable[[], Any]) -> Any:
        """Call `run` once and return what it gave; `inputs` are the graph's."""


@contextmanager
def around_compilers(watcher: GraphWatcher, counted: Counter[str]) -> Iterator[None]:
    """While the block runs, let the watcher meet compiled graphs, and what is traced be traced unseen and counted.

    Beside any dispatch mode a trace by torch.jit with constants fails its own check. Where torch compiles
    nothing beside a mode, that is counted too.
    """
    with ExitStack() as undo:
        for name in ("trace", "trace_module"):
            undo.callback(setattr, torch.jit, name, getattr(torch.jit, name))
            setattr(torch.jit, name, _unseen(counted, getattr(torch.jit, name)))
        if not _COMPILES:
            undo.callback(setattr, torch, "compile", torch.compile)
            setattr(torch, "compile", _counted(counted, torch.compile))  # noqa: B010 - mypy takes no other
        block = [undo]  # emptied at its end: the compilers may be imported after that
        undo.callback(block.clear)
        after_import(_COMPILERS, lambda: _watch_compilers(watcher, *block) if block else None)
        yield


def _counted(counted: Counter[str], compile_: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(compile_)
    def compiling(*args: Any, **kwargs: Any) -> Any:
        """Compile, as it seems, counted."""
        counted[_EAGER] += 1
        return compile_(*args, **kwargs)

    return compiling


def _unseen(counted: Counter[str], trace: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(trace)
    def tracing(*args: Any, **kwargs: Any) -> Any:
        """Trace, counted, without the audit."""
        counted[_TRACED] += 1
        if torch._C._len_torch_dispatch_stack() != 1:  # the program's own modes stay
            return trace(*args, **kwargs)
        with _disable_current_modes():
            return trace(*args, **kwargs)

    return tracing


def _watch_compilers(watcher: GraphWatcher, undo: ExitStack) -> None:
    from torch._dynamo.backends import common

    original, numbers = getattr(common, _DIFFERENTIATES), itertools.count(1)

    @functools.wraps(original)
    def differentiate(*args: Any, **kwargs: Any) -> Any:
        """Differentiate a graph, and have its parts compiled by compilers whose results are watched."""
        number, recompiled = next(numbers), _is_recompiled()
        watched = {
            kind: _watched(kwargs[kind], watcher, number, recompiled) for kind in _KINDS if kwargs.get(kind) is not None
        }
        return original(*args, **{**kwargs, **watched})

    undo.callback(setattr, common, _DIFFERENTIATES, original)
    setattr(common, _DIFFERENTIATES, differentiate)


def _is_recompiled() -> bool:
    compilation = torch._guards.CompileContext.current_compile_id()
    return compilation is not None and bool(compilation.frame_compile_id)


def _watched(compiler: Callable[..., Any], watcher: GraphWatcher, number: int, recompiled: bool) -> Callable[..., Any]:
    """A compiler whose results the watcher meets at every call."""

    def compiling(module: torch.fx.GraphModule, examples: Sequence[Any]) -> Any:
        """Compile a graph, which may be its backward, long after it ran."""
        # Before the compiler rewrites them.
        code, lines, changes = module.code, _lines(module), _changed(module)
        draws = any(torch.Tag.nondeterministic_seeded in operation.tags for _, operation in _operations(module))
        with _disable_current_modes():
            compiled = compiler(module, examples)
        inner = compiled
        while (wrapped := getattr(inner, "_torchdynamo_orig_callable", None)) is not None:
            inner = wrapped
        source = getattr(inner, "source_code", None)
        graph = CompiledGraph(
            number=number,
            recompiled=recompiled,
            lines=lines,
            code=code,
            kernels=zlib.crc32(source.encode()) if isinstance(source, str) else None,
            draws=draws,
            changes=changes,
            opaque=_module_of(inner).startswith(_OPAQUE),
        )
        return _met(compiled, graph, watcher)

    return compiling


def _met(compiled: Callable[..., Any], graph: CompiledGraph, watcher: GraphWatcher) -> Callable[..., Any]:
    boxed = getattr(compiled, "_boxed_call", False)  # called with one list, which it empties to free memory early

    @torch._dynamo.disable  # type: ignore[untyped-decorator]
    def calling(*args: Any) -> Any:
        """Call the compiled graph before the watcher's eyes, unless it is only traced."""
        if _is_traced(args[0] if boxed else args):
            return compiled(*args)
        return watcher.run_graph(graph, list(args[0]) if boxed else args, lambda: compiled(*args))

    calling._boxed_call = boxed
    return calling  # type: ignore[no-any-return]


def _is_traced(inputs: Sequence[Any]) -> bool:
    """Whether a call computes nothing: torch.jit traces it, or its tensors are fake."""
    from torch._subclasses.fake_tensor import FakeTensor  # only here: where nothing is compiled it costs a second

    return torch._C._get_tracing_state() is not None or any(isinstance(value, FakeTensor) for value in inputs)


def _module_of(value: Any) -> str:
    """The module that a function, or an object's class, comes from."""
    return str(getattr(value, "__module__", None) or type(value).__module__)


def _operations(module: torch.fx.GraphModule) -> Iterator[tuple[torch.fx.Node, OpOverload[..., Any]]]:
    return ((node, node.target) for node in module.graph.nodes if isinstance(node.target, OpOverload))


def _changed(module: torch.fx.GraphModule) -> tuple[int, ...]:
    """Positions of the inputs that a graph writes to, which functionalization leaves for its end."""
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    changed: set[torch.fx.Node] = set()
    for node, operation in _operations(module):
        arguments = zip(operation._schema.arguments, node.args, strict=False)
        changed |= {
            value
            for argument, value in arguments
            if argument.alias_info is not None and argument.alias_info.is_write and isinstance(value, torch.fx.Node)
        }
    return tuple(place for place, node in enumerate(inputs) if node in changed)


def _lines(module: torch.fx.GraphModule) -> tuple[str, str] | None:
    """The first and the last line of the program's own among a graph's operations; of one file."""
    lines: list[tuple[str, int]] = []
    for node in module.graph.nodes:
        frames = _FRAME.findall(node.meta.get("stack_trace") or "")
        own = [(file, int(line)) for file, line in frames if is_own(file)]
        lines += own[-1:]
    if not lines:
        return None
    file = lines[0][0]
    numbers = [line for other, line in lines if other == file]
    return relative(file, min(numbers)), relative(file, max(numbers))


def tensors_of(values: Any) -> list[Tensor]:
    """The tensors among a graph's inputs or results, which are a list, a tuple or one of them."""
    return [value for value in (values if isinstance(values, list | tuple) else (values,)) if isinstance(value, Tensor)]
