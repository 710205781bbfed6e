"""Records every tensor operation of a program as it happens."""

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from lastbit.script.audit.batches import Batch, LoaderCode
from lastbit.script.audit.bits import is_plain, is_whole, tensors
from lastbit.script.audit.compiled import CompiledGraph, tensors_of
from lastbit.script.audit.memory import WrittenMemory
from lastbit.script.audit.operation import OperationCall, describe_graph
from lastbit.script.audit.place import Location, Locator
from lastbit.script.audit.program import OPTIMIZER, Walk
from lastbit.script.audit.watching import WatchingMode
from lastbit.script.trace.call_arguments import arguments_of, group_of, text_of
from lastbit.script.trace.origins import Origins, ParameterNames
from lastbit.script.trace.records import (
    BATCH,
    DATA,
    GROUP,
    OUTSIDE,
    PARAMETER,
    PARTS,
    RECEIVED,
    Origin,
    Site,
)
from lastbit.script.trace.sketch import summarise
from lastbit.script.trace.writer import TraceWriter

_FEW = 8  # tensors; an operation on more works on many parameters

Noted = tuple[Location, list[Origin]]


class TraceMode(WatchingMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that records what every operation takes and gives.

    What views give has the origin of what they look at; of them only those that take a part of it are recorded, for
    their arguments say which. A tensor that no operation made is recorded when it is first read, as one from outside.

    Args:
        writer: of the trace.
        recorded: called after each record.
    """

    def __init__(self, writer: TraceWriter, recorded: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.step = 0  # optimizer steps so far
        self.communicated = False  # whether a collective was called
        self.broken: OSError | None = None  # why the trace could not be written; nothing is recorded after that
        self.locator = Locator()
        self.names = ParameterNames(self.locator)
        self._writer, self._memory, self._origins = writer, WrittenMemory(), Origins()
        self._recorded = recorded
        self._sites: dict[Any, int] = {}
        self._group: tuple[list[int] | None, bool] | None = None  # of the latest collective

    def before(self, call: OperationCall) -> Noted | None:
        """Find its place, and where what it takes comes from; record what no operation before it has made."""
        walked = self.locator.note(call.frame)
        operation = call.operation
        if operation.view and not operation.reads:
            self._meet_parameters(call, walked)
            if operation.name not in PARTS:
                return None
        if not (operation.compared or operation.reads or operation.communicates):
            return None
        location = self.locator.locate(call.frame, walked)
        reads = operation.reads or operation.communicates
        if operation.copies:
            self._expect_in_transit([tensor for tensor, _ in call.inputs])
        origins = []
        for tensor, read in call.inputs:
            # What a deferred collective is still writing, as what `wait_tensor` waits for, is not to be looked at yet.
            pending = operation.defers and self._origins.is_expected(tensor)
            origins.append(self._origin(tensor, location, call.frame, read=read and reads and not pending))
        return location, origins

    def open_loader(self, line: str | None, code: LoaderCode) -> None:
        """Nothing: a trace holds no code."""

    def note_batch(self, batch: Batch) -> None:
        """Note a batch that a loader hands over."""
        if batch.digest is not None and not self.paused:
            self._writer.event(BATCH, step=self.step, content=asdict(batch))

    def failed(self, call: OperationCall) -> None:
        """Nothing: it gave nothing."""

    def after(self, call: OperationCall, noted: Noted | None, result: Any) -> None:
        """Record what it gave, or note what it did with memory."""
        operation = call.operation
        if operation.allocates:
            self._follow_allocation(call, tensors(result))
        elif operation.communicates and noted is not None:
            self._record_message(call, noted, result)
        elif operation.adopts:
            for tensor in (*tensors(result), *operation.changed(call.args, call.kwargs)):
                self._origins.forget(tensor)
        elif operation.name in PARTS and noted is not None:
            self._add(call, noted, tensors(result), known=False)
        elif operation.compared and noted is not None:
            self._record(call, noted, operation.results(call.args, call.kwargs, result))
            for tensor in tensors(result) if operation.scratch else ():
                if is_plain(tensor) and not self._origins.of(tensor)[1]:
                    self._origins.learn(tensor, None)
        self._recorded()

    def run_graph(self, graph: CompiledGraph, inputs: Sequence[Any], run: Callable[[], Any]) -> Any:
        """Call a compiled graph, and record it as one operation."""
        if self.paused:
            return run()
        changed = [inputs[place] for place in graph.changes if isinstance(inputs[place], Tensor)]
        numbers = {f"input {place}": value for place, value in enumerate(inputs) if isinstance(value, int | float)}
        call = OperationCall(None, describe_graph(graph), (), numbers, [], sys._getframe(1), None, graph)
        with self.hidden():
            taken = tensors_of(inputs)
            noted = self.before(replace(call, inputs=[(tensor, True) for tensor in taken]))
            passed = {tensor.untyped_storage()._cdata for tensor in taken if is_plain(tensor)}
        # Held no longer than the program holds them: a graph that runs frees, or overwrites, what it has used.
        del inputs, taken
        with self.hidden() if graph.opaque else nullcontext():
            result = run()
        with self.hidden():
            if noted is not None:
                # What is passed on, to the graph's backward, is nothing that it made.
                made = [t for t in tensors_of(result) if not is_plain(t) or t.untyped_storage()._cdata not in passed]
                self._record(call, noted, [*made, *changed])
                self._recorded()
        return result

    def _miss(self, func: Any, error: Exception) -> None:
        if isinstance(error, OSError):
            self.broken = error
            self.pause()
        super()._miss(func, error)

    def _meet_parameters(self, call: OperationCall, walked: Walk | None) -> None:
        """Record the parameters from outside that a view looks at: behind it they are not known for what they are."""
        for tensor, _ in call.inputs:
            if isinstance(tensor, torch.nn.Parameter) and is_plain(tensor):
                origin, known = self._origins.of(tensor)
                if not known:
                    location = self.locator.locate(call.frame, walked)
                    self._record_from_outside(tensor, origin, location, call.frame)

    def _expect_in_transit(self, copied: Sequence[Tensor]) -> None:
        """Note that what a collective copies to where it was to arrive, as gloo does when waited for, was received."""
        arrives = len(copied) == 2 and self._origins.is_expected(copied[0]) and is_plain(copied[1])
        if arrives and self._origins.of(copied[1]) == (None, False):
            self._origins.expect(copied[1], self._origins.of(copied[0])[0])

    def _origin(self, tensor: Tensor, location: Location, frame: FrameType | None, *, read: bool) -> Origin:
        if not is_plain(tensor):
            return None
        origin, known = self._origins.of(tensor)
        return origin if known or not read else self._record_from_outside(tensor, origin, location, frame)

    def _record_from_outside(self, tensor: Tensor, sent: Origin, location: Location, frame: FrameType | None) -> Origin:
        """Record a tensor that was read from a file, came from another process or NumPy, or was made unseen."""
        name = PARAMETER if isinstance(tensor, torch.nn.Parameter) else DATA if sent is None else RECEIVED
        module = (self.names.of(tensor, frame) if name == PARAMETER else None) or location.module
        site = self._writer.site(Site(name, OUTSIDE, module, location.line, location.called_from, (), ()))
        inputs = [] if sent is None else [sent]
        index = self._writer.add(site, step=self.step, inputs=inputs, numbers=(), outputs=[summarise(tensor)])
        if is_whole(tensor):
            self._origins.learn(tensor, (index, 0))
        return index, 0

    def _follow_allocation(self, call: OperationCall, results: Sequence[Tensor]) -> None:
        for tensor in results:
            if is_plain(tensor) and (call.held is None or tensor.untyped_storage().nbytes() > call.held):
                self._memory.leave_unwritten(tensor, but_for=call.held or 0)
                self._origins.learn(tensor, self._origins.of(tensor)[0] if call.held else None)

    def _record(self, call: OperationCall, noted: Noted, results: Sequence[Tensor]) -> None:
        known = not (call.operation.copies and call.reads_unwritten(self._memory))
        index = self._add(call, noted, results, known=known)
        for place, tensor in enumerate(results):
            if is_plain(tensor):
                self._origins.learn(tensor, (index, place))
                if known:
                    self._memory.write(tensor)
                else:
                    self._memory.leave_unwritten(tensor)

    def _record_message(self, call: OperationCall, noted: Noted, result: Any) -> None:
        """Record a collective; what arrives, some time after the call, is recorded when it is read."""
        self.communicated = True
        if (group := group_of(call)) is not None and group != self._group:
            self._group = group
            self._writer.event(GROUP, step=self.step, content={"ranks": group[0], "message": group[1]})
        results = call.operation.changed(call.args, call.kwargs) or tensors(result)
        index = self._add(call, noted, results, known=False)
        for place, tensor in enumerate(results):
            if is_plain(tensor):
                self._origins.expect(tensor, (index, place))

    def _add(self, call: OperationCall, noted: Noted, results: Sequence[Tensor], *, known: bool) -> int:
        location, origins = noted
        words, names, numbers = arguments_of(call)
        module = location.module
        if module is None and location.phase == OPTIMIZER and len(origins) <= _FEW:
            module = self.names.updated([tensor for tensor, _ in call.inputs], results)
        # Of an operation and of a location there is one object, which is kept.
        key = id(call.operation), id(location), module, words, names
        site = self._sites.get(key)
        if site is None:
            texts = tuple((name, text_of(value)) for name, value in words)
            lines = None if call.graph is None else call.graph.lines
            line, caller = location.line if lines is None else lines[0], location.called_from
            site = self._writer.site(Site(call.operation.name, location.phase, module, line, caller, texts, names))
            self._sites[key] = site
        outputs = [summarise(tensor, known=known) for tensor in results]
        return self._writer.add(site, step=self.step, inputs=origins, numbers=numbers, outputs=outputs)
