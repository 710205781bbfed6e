"""Compares the calls of compiled graphs with the other run's: what each takes, and what it gives."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import FrameType
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from lastbit.script.audit.bits import is_plain
from lastbit.script.audit.comparison import BitComparison, Reporter
from lastbit.script.audit.compiled import CompiledGraph, GraphCounts, tensors_of
from lastbit.script.audit.memory import WrittenMemory
from lastbit.script.audit.operation import OperationCall, describe_graph


class GraphComparison:
    """A watcher of compiled graphs.

    Args:
        comparison: with the other run.
        memory: of this run.
        reporter: describes tensors.
        hidden: makes the audit blind to the operations of this thread while its block runs.
    """

    def __init__(
        self,
        comparison: BitComparison,
        memory: WrittenMemory,
        reporter: Reporter,
        hidden: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._comparison, self._memory, self._reporter, self._hidden = comparison, memory, reporter, hidden
        self._graphs: dict[int, bool] = {}  # number -> whether it was recompiled
        self._calls = 0

    @property
    def counts(self) -> GraphCounts:
        """How many graphs were called so far, and how often."""
        return GraphCounts(len(self._graphs), sum(self._graphs.values()), self._calls)

    def run_graph(self, graph: CompiledGraph, inputs: Sequence[Any], run: Callable[[], Any]) -> Any:
        """Compare a call's inputs and, when it has run, its results and what it changed."""
        self._graphs[graph.number], self._calls = graph.recompiled, self._calls + 1
        taken = tensors_of(inputs)
        changed = [inputs[place] for place in graph.changes if isinstance(inputs[place], Tensor)]
        with _disable_current_modes():
            call = self._meet(graph, inputs, taken, sys._getframe(1))
        # Held no longer than the program holds them: a graph that runs frees, or overwrites, what it has used.
        del taken, inputs
        with self._hidden() if graph.opaque else nullcontext():
            result = run()
        with _disable_current_modes():
            self._follow(call, [*tensors_of(result), *changed])
        return result

    def _meet(
        self, graph: CompiledGraph, inputs: Sequence[Any], taken: Sequence[Tensor], frame: FrameType
    ) -> OperationCall:
        """Compare what nobody is known to have left unwritten."""
        unwritten = [tensor for tensor in taken if is_plain(tensor) and self._memory.is_unwritten(tensor)]
        written = [tensor for tensor in taken if not any(tensor is other for other in unwritten)]
        numbers = {f"input {place}": value for place, value in enumerate(inputs) if isinstance(value, int | float)}
        call = OperationCall(
            func=None,
            operation=describe_graph(graph),
            args=(),
            kwargs=numbers,
            inputs=[(tensor, True) for tensor in unwritten],
            frame=frame,
            held=None,
            graph=graph,
            given=self._reporter.values(taken, None),
        )
        self._comparison.note(call)
        self._comparison.compare(call, written, reading=True)
        for tensor in written:
            if is_plain(tensor):
                self._memory.meet(tensor)
        return call

    def _follow(self, call: OperationCall, results: list[Tensor]) -> None:
        self._comparison.took_unwritten |= bool(call.inputs)
        unwritten = self._comparison.compare(call, results, reading=False)
        for tensor in results:
            if is_plain(tensor) and not any(tensor is other for other in unwritten):
                self._memory.learn(tensor)
                self._memory.write(tensor)
