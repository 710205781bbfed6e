"""What a program compiles or traces: neither can be done beside the audit as it would be without."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

_COMPILED = "calls of torch.compile, which run eagerly here: kernels that it would generate"
_TRACED = "calls of torch.jit.trace: operations inside"


@contextmanager
def around_compilers() -> Iterator[Counter[str]]:
    """While the block runs, let what is compiled run eagerly and what is traced be traced unseen; count both."""
    counted: Counter[str] = Counter()
    replaced = [
        (torch, "compile", functools.partial(_eager, counted)),
        (torch.jit, "trace", functools.partial(_unseen, counted)),
        (torch.jit, "trace_module", functools.partial(_unseen, counted)),
    ]
    originals = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    for (module, name, wrap), (_, _, original) in zip(replaced, originals, strict=True):
        setattr(module, name, wrap(original))
    try:
        yield counted
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


def _eager(counted: Counter[str], compile_: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(compile_)
    def compiling(*args: Any, **kwargs: Any) -> Any:
        """Compile, counted."""
        if not counted[_COMPILED]:
            # By itself it would give up beside a dispatch mode, with an error where the whole graph is asked for.
            torch.compiler.set_stance("force_eager")
        counted[_COMPILED] += 1
        return compile_(*args, **kwargs)

    return compiling


def _unseen(counted: Counter[str], trace: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(trace)
    def tracing(*args: Any, **kwargs: Any) -> Any:
        """Trace, counted, without the audit: beside any dispatch mode a trace with constants fails its own check."""
        counted[_TRACED] += 1
        if torch._C._len_torch_dispatch_stack() != 1:  # the program's own modes stay
            return trace(*args, **kwargs)
        with _disable_current_modes():
            return trace(*args, **kwargs)

    return tracing
