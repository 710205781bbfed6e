"""Says in words what differs where two traces leave what rounding explains."""

import math
from fractions import Fraction
from functools import cached_property

import numpy as np

from lastbit.report.numbers import dimensions
from lastbit.script.audit.batches import first_differing_batch
from lastbit.script.trace.alignment import Alignment
from lastbit.script.trace.arguments import differing_settings, other_views
from lastbit.script.trace.draws import calls_of_one_place, describe_draws, is_random, named_operations
from lastbit.script.trace.frozen import trained_in_one_run
from lastbit.script.trace.graph import BACKWARD, OPTIMIZER, TraceGraph, is_compiled
from lastbit.script.trace.records import COLLECTIVES, OUTSIDE, PARAMETER, PARTS, RECEIVED, Record
from lastbit.script.trace.roots import Root, RootKind, RootSearch

_PUT_TOGETHER = {*PARTS, "aten::stack", "aten::cat"}  # take samples, and make a batch of them
_MOST_NAMED = 3
_LARGEST_PART = 16  # of a fraction that is taken for one of examples, batches or processes


class Words:
    """Describes where two traces part.

    Args:
        one: the first trace.
        other: the second.
        search: through both.
        alignment: of both.
    """

    def __init__(self, one: TraceGraph, other: TraceGraph, search: RootSearch, alignment: Alignment) -> None:
        self._one, self._other, self._search, self._alignment = one, other, search, alignment

    @cached_property
    def _batch(self) -> tuple[range, str] | None:
        """The first batch of a loader that differs: the records while it was put together, and how it does."""
        batches = [batch for _, batch in self._one.trace.batches]
        difference = first_differing_batch(batches, [batch for _, batch in self._other.trace.batches], {})
        if difference is None:
            return None
        place = batches.index(difference.batch)
        begin = self._one.trace.batches[place - 1][0] if place else 0
        return range(begin, self._one.trace.batches[place][0]), difference.what

    def batch(self, record: Record) -> str | None:
        """How a loader's batch differs, for a record that puts it together; None for others."""
        if self._batch is None or record.index not in self._batch[0] or record.site.name not in _PUT_TOGETHER:
            return None
        return f"the data differ: {self._batch[1]}"

    def root(self, root: Root) -> str:
        """What differs where a difference begins; in an update, which settings of the optimizer do."""
        records = self._one.records[root.reader], self._other.records[int(self._other.maker[root.partner])]
        settings = differing_settings((self._one, self._other), *records)
        return f"{settings} ({self._kind(root)})" if settings else self._kind(root)

    def _kind(self, root: Root) -> str:
        match root.kind:
            case RootKind.OUTSIDE:
                return self._outside(root)
            case RootKind.SHAPES:
                return f"{self._name(root)}of shape {self._shape(root.value)} against {self._shape(root.partner, 1)}"
            case RootKind.STRUCTURE:
                batch = self.batch(self._one.records[root.reader])
                return self._structure(root) if batch is None else f"{batch} ({self._structure(root)})"
            case RootKind.COMPILED:
                return self._compiled(root)
        return self._operation(root)

    def _operation(self, root: Root) -> str:
        record, other = (graph.records[int(graph.maker[v])] for graph, v in self._sides(root))
        kinds = [graph.summaries[v] for graph, v in self._sides(root)]
        if kinds[0].dtype != kinds[1].dtype:
            return f"dtype {kinds[0].dtype} against {kinds[1].dtype}"
        if (collective := self.collective(root)) is not None:
            return f"{collective} gave other values: another rank sent others"
        if is_random(record):
            return describe_draws((self._one, self._other), self._alignment, record, other)
        if (batch := self.batch(record)) is not None:
            return batch
        if self._flips_sign(root):
            return "the same inputs give the results of opposite sign"
        if (views := other_views(record, other)) is not None:
            return f"{record.site.name} takes {views}"
        scale = self._scale(root)
        return (
            f"the same inputs and arguments give other results{scale}: a kernel computes something else, or "
            "a tensor was changed outside torch, as through NumPy"
        )

    def collective(self, root: Root) -> str | None:
        """The operation by which a difference came from other processes, where it begins so."""
        record = self._one.records[int(self._one.maker[root.value])]
        came = root.kind is RootKind.OPERATION and record.site.name == RECEIVED
        return self._collective(self._one, record) if came else None

    @staticmethod
    def _collective(graph: TraceGraph, received: Record) -> str:
        """The operation by which a value came from other processes."""
        return named_operations([graph.records[origin[0]] for origin in received.inputs if origin is not None])

    def _received(self, root: Root) -> str | None:
        """That processes together computed something else than the other run's single one."""
        makers = [graph.records[int(graph.maker[v])] for graph, v in self._sides(root)]
        received = [maker.site.name == RECEIVED for maker in makers]
        alone = [
            not any(r.site.name.startswith(COLLECTIVES) for r in side.records) for side in (self._one, self._other)
        ]
        if received[0] == received[1] or not any(alone):
            return None
        graph, which = (self._one, "first") if received[0] else (self._other, "second")
        collective = self._collective(graph, makers[received.index(True)])
        return f"what {collective} gave in the {which} trace is not what the other computed{self._scale(root)}"

    def _outside(self, root: Root) -> str:
        record = self._one.records[int(self._one.maker[root.value])]
        name = record.site.module if record.site.name == PARAMETER else None
        shapes = [self._shape(root.value), self._shape(root.partner, 1)]
        if not name and self._batch is not None:
            return f"the data differ: {self._batch[1]}"
        what = f"{name} was loaded or initialised differently" if name else "the data differ"
        if name and record.step:
            what = f"{name} was changed from outside torch"
        if shapes[0] != shapes[1]:
            return f"{what}: of shape {shapes[0]} against {shapes[1]}"
        return f"{what}{self._scale(root) or self._order(root)}"

    def _order(self, root: Root) -> str:
        norms = [float(graph.norms[v]) for graph, v in self._sides(root)]
        same = math.isclose(*norms, rel_tol=1e-9) and norms[0] > 0
        return ": perhaps the same values in another order, for their norms agree" if same else ""

    def _structure(self, root: Root) -> str:
        if (frozen := trained_in_one_run(self._sides(root), self._only(root), root.distance)) is not None:
            return frozen
        if (received := self._received(root)) is not None:
            return received
        sides = self._only(root)
        if (known := _other_shape(sides) or self._kept_gradients(sides)) is not None:
            return known
        missing = [
            f"only the {which} trace has {named_operations(records)}"
            for which, records in zip(("first", "second"), sides, strict=True)
            if records
        ]
        words = f"{' and '.join(missing) or self._taken(root)}{self._passes(root)}"
        if len(sides[0]) + len(sides[1]) <= _MOST_NAMED:
            return f"{words}{self._scale(root, guess=not missing)}"
        scale = self._scale(root, guess=True)
        return f"values {scale[2:]} ({words})" if scale else words

    def _kept_gradients(self, sides: tuple[list[Record], list[Record]]) -> str | None:
        """Whether one trace adds gradients to those of an earlier step, as where `zero_grad` is forgotten."""
        for which, graph, side in zip(("first", "second"), (self._one, self._other), sides, strict=True):
            for record in side if not sides[which == "first"] else ():
                made = [graph.records[origin[0]] for origin in record.inputs if origin is not None]
                kept = [r.step for r in made if r.step < record.step and r.site.phase == BACKWARD]
                if record.site.phase == BACKWARD and kept and record.site.name.startswith("aten::add"):
                    return (
                        f"the {which} trace alone adds the gradients of step {record.step:,} to those of step "
                        f"{max(kept):,}: there they are not set to zero in between"
                    )
        return None

    def _taken(self, root: Root) -> str:
        """Which tensors are taken where the same operation takes another: what made them."""
        makers = [graph.records[int(graph.maker[v])] for graph, v in self._sides(root)]
        names = [named_operations([maker]) for maker in makers]
        if names[0] == names[1]:
            shapes = self._shape(root.value), self._shape(root.partner, 1)
            return calls_of_one_place((self._one, self._other), makers, shapes)
        modules = [f", {maker.site.module}" if maker.site.module else "" for maker in makers]
        texts = [
            f"that of {name} (operation {maker.index:,}{module})"
            for name, maker, module in zip(names, makers, modules, strict=True)
        ]
        return f"another tensor is taken: {' against '.join(texts)}"

    def _passes(self, root: Root) -> str:
        """That the gradients of a step are accumulated over other numbers of backward passes."""
        reader = self._one.records[root.reader]
        if reader.site.phase not in (BACKWARD, OPTIMIZER):
            return ""
        counts = [_backward_passes(graph, reader.step) for graph in (self._one, self._other)]
        if counts[0] == counts[1]:
            return ""
        return f"; {counts[0]} backward pass{'es' if counts[0] != 1 else ''} against {counts[1]} before the update"

    def _compiled(self, root: Root) -> str:
        sides = self._only(root)
        graph, operations = sides if is_compiled(self._one, root.only_one) else reversed(sides)
        instead = f" than {named_operations(operations)} in its place" if operations else ""
        return f"{named_operations(graph)} gives other results{instead}{self._scale(root, guess=False)}"

    def _scale(self, root: Root, *, guess: bool = True) -> str:
        """That the results are proportional, where they are, and perhaps why."""
        if self._shape(root.value) != self._shape(root.partner, 1):
            return ""
        ratio = self._search.ratio((root.value, root.partner))
        if ratio is None or abs(ratio - 1) < 1e-3:
            return ""
        words = f", {_short(ratio)} times those of the second trace"
        fraction = Fraction(ratio).limit_denominator(_LARGEST_PART)
        if guess and fraction > 0 and abs(ratio / fraction - 1) < 1e-4:
            parts = f" ({fraction})" if fraction.numerator > 1 < fraction.denominator else ""
            words += f"{parts}: a sum against a mean, over examples, accumulated batches or processes"
        return words

    def _flips_sign(self, root: Root) -> bool:
        ratio = self._search.ratio((root.value, root.partner))
        return ratio is not None and abs(ratio + 1) < 1e-3

    def _only(self, root: Root) -> tuple[list[Record], list[Record]]:
        """The operations that only the first, and only the second trace has."""
        return self._one.computing(root.only_one), self._other.computing(root.only_other)

    def _sides(self, root: Root) -> list[tuple[TraceGraph, int]]:
        return [(self._one, root.value), (self._other, root.partner)]

    def _shape(self, value: int, side: int = 0) -> str:
        return dimensions((self._one, self._other)[side].summaries[value].shape)

    def _name(self, root: Root) -> str:
        record = self._one.records[int(self._one.maker[root.value])]
        return f"{record.site.module} is " if record.site.phase == OUTSIDE and record.site.module else "tensors are "


def _other_shape(sides: tuple[list[Record], list[Record]]) -> str | None:
    """That the first operations of one trace alone are the same, but for a shape, as where one broadcasts."""
    if not all(sides):
        return None
    one, other = (side[0] for side in sides)
    shapes = [record.outputs[0].shape if record.outputs else () for record in (one, other)]
    if (one.site.name, one.site.line) != (other.site.name, other.site.line) or shapes[0] == shapes[1]:
        return None
    return f"{named_operations([one])} gives a tensor of shape {dimensions(shapes[0])} against {dimensions(shapes[1])}"


def _backward_passes(graph: TraceGraph, step: int) -> int:
    """How often a step calls `backward`, which begins with a gradient of 1 of the loss."""
    records = (graph.records[index] for index, _ in graph.items.get(step, ()))
    return sum(record.site.name == "aten::ones_like" and record.outputs[0].shape == () for record in records)


def _short(number: float) -> str:
    return f"{np.float64(number):.6g}"
