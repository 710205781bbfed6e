"""The first place at which two traces differ by more than rounding explains."""

from collections.abc import Container, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from lastbit.script.trace.aligned import CERTAIN, AlignedTraces
from lastbit.script.trace.arguments import argument_words
from lastbit.script.trace.differs import Words
from lastbit.script.trace.draws import is_random
from lastbit.script.trace.graph import BACKWARD, FORWARD, OPTIMIZER, Item, is_compiled
from lastbit.script.trace.other_arguments import other_arguments, precision
from lastbit.script.trace.places import TracePlace
from lastbit.script.trace.records import PARTS, RECEIVED
from lastbit.script.trace.roots import Pair, Root, RootKind
from lastbit.script.trace.single import SingleOperations
from lastbit.script.trace.undone import UndoneDifferences, is_made_up_for

_SUDDEN = 1e-4  # and that of the weights a step before they are so far apart, where it is not rounding that grew
_COMPUTED = 1e-2  # and the largest of two that may have been computed from tensors that rounding parts


class BeyondRounding:
    """Looks for the place.

    Args:
        traces: the two, aligned.
    """

    def __init__(self, traces: AlignedTraces) -> None:
        self._traces, self._one, self._other, self._search = traces, traces.one, traces.other, traces.search
        self._items, self._values = traces.alignment.items, traces.alignment.values
        self._words = Words(traces.one, traces.other, traces.search, traces.alignment)
        self._forward = UndoneDifferences(traces)
        self.undone: list[TracePlace] = []  # operations with other arguments, of which nothing becomes

    def first(self) -> TracePlace | None:
        """The first of all that is known; None where rounding explains everything, or nothing is certain."""
        values = self._by_values()
        # Parts of a batch have other slices and divisors: they say why weights are far apart, and no more.
        arguments = (
            self._by_arguments_of((OPTIMIZER,)) if self._traces.divided and values is None else self.by_arguments
        )
        candidates = [arguments, values, self.by_length()]
        return min((place for place in candidates if place is not None), key=lambda place: place.index, default=None)

    def by_length(self) -> TracePlace | None:
        """The first operation behind the other program's last step, where both came to their ends."""
        traces = (self._one.trace, self._other.trace)
        steps = [trace.steps for trace in traces]
        if steps[0] == steps[1] or not all(trace.ended for trace in traces):
            return None
        aligned = {index for index, _ in self._items}
        beyond = [r.index for r in self._one.records if r.step >= min(steps) and r.index not in aligned]
        index = beyond[0] if beyond else len(self._one.records) - 1
        return self._traces.place(index, None, f"{steps[0]:,} optimizer steps against {steps[1]:,}")

    @cached_property
    def by_arguments(self) -> TracePlace | None:
        """The first operation that is given other arguments with the same inputs, slices of divided batches apart."""
        return self._by_arguments_of((FORWARD, BACKWARD, OPTIMIZER))

    def _by_arguments_of(self, phases: Container[str]) -> TracePlace | None:
        differing = self._traces.values[self._traces.have_other_bits]
        apart = self._traces.record(int(differing[0])).index if len(differing) else len(self._one.records)
        for item in sorted(self._items, key=lambda item: (item[0], item[1] or 0)):
            partner = self._items[item]
            record, other = self._one.records[item[0]], self._other.records[partner[0]]
            # A batch in parts has other shapes throughout; what an operation keeps for its gradients may have others.
            if record.site.name != other.site.name or self._one.shapes(item)[:1] != self._other.shapes(partner)[:1]:
                continue
            if record.site.phase not in phases or (self._traces.divided and record.site.name in PARTS):
                continue
            # Before any bit differs no number can differ by rounding; behind it, one may have been computed.
            within = precision(record) if record.index <= apart else self._number_tolerance(item)
            graphs = (self._one, self._other)
            names = other_arguments(graphs, record, other, within=within, far=self._is_far(item))
            if names and self._search.agrees_before(item, partner):
                # Which samples a batch is put together from says more than which rows of a tensor those are.
                words = self._words.batch(record) or argument_words(graphs, record, other, names)
                place = self._traces.place(record.index, self._distance(item), words)
                by = None if self._traces.divided else self._forward.undone_by(item, partner)
                if by is None:
                    return place
                self.undone.append(replace(place, undone_by=by))
        return None

    def _is_far(self, item: Item) -> bool:
        """Whether any result of an operation is farther apart than is explained."""
        pairs = [(value, self._values[value]) for value in self._one.outputs(item) if value in self._values]
        return any(self._search.is_far(pair) for pair in pairs)

    def _number_tolerance(self, item: Item) -> float:
        return min(_COMPUTED, max([1e-6, *(self._traces.explained(value) for value in self._one.outputs(item))]))

    def _distance(self, item: Item) -> float | None:
        """Of the results of an operation, the largest."""
        pairs = [(value, self._values[value]) for value in self._one.outputs(item) if value in self._values]
        return max((gap for pair in pairs if not np.isnan(gap := self._search.distance(pair))), default=None)

    def _by_values(self) -> TracePlace | None:
        """Where the differences begin that reach the weights, or results that nothing else takes."""
        updates, sudden = self._updates()
        roots = [root for root in self._search.roots(updates) if self._is_certain(root, sudden=sudden)]
        roots += [root for root in self._gradients(updates) if self._is_certain(root, sudden=sudden)]
        roots += [root for root in SingleOperations(self._traces).roots() if self._is_certain(root, sudden=True)]
        ends = [] if self._traces.divided else self._search.roots(self._ends())
        if not any(self._reshapes(root) for root in ends):
            # Of batches of other sizes, as of several processes, only what becomes of the weights can be compared.
            roots += [root for root in ends if self._is_certain(root, sudden=False)]
        if not roots:
            return self._begun_nowhere(updates)
        # Where tensors have other shapes the batch may only be divided otherwise; what can be compared says more.
        root = min([root for root in roots if not self._reshapes(root)] or roots, key=lambda root: root.reader)
        only = [record.index for record in self._one.computing(root.only_one)]
        place = self._traces.place(min([root.reader, *only]), root.distance, self._words.root(root))
        return replace(place, by_values=True, received=self._words.collective(root))

    def _begun_nowhere(self, updates: Sequence[Pair]) -> TracePlace | None:
        """The first update that is too far apart, where nothing was found that its difference comes from."""
        if self._traces.envelope is None or not updates:
            return None
        pair = min(updates)
        record = self._traces.record(pair[0])
        words = "farther apart than rounding explains; where the difference begins was not found"
        return replace(self._traces.place(record.index, self._search.distance(pair), words), by_values=True)

    def _reshapes(self, root: Root) -> bool:
        return not self._search.has_one_shape((root.value, root.partner))

    def _updates(self) -> tuple[list[Pair], bool]:
        """Results of updates that are too far apart, of the first step with any; and whether they came there suddenly.

        Without an envelope it counts as sudden that no update of a step before was near to that.
        """
        steps = {pair: r.step for pair in self._too_far if (r := self._traces.record(pair[0])).site.phase == OPTIMIZER}
        first = min(steps.values(), default=0)
        near = (gap for value, gap in zip(self._traces.values, self._traces.apart, strict=True) if gap > _SUDDEN
                and (r := self._traces.record(int(value))).step < first and r.site.phase == OPTIMIZER)  # fmt: skip
        sudden = self._traces.envelope is not None or next(near, None) is None
        return [pair for pair, step in steps.items() if step == first], sudden

    def _gradients(self, updates: Sequence[Pair]) -> list[Root]:
        """Where gradients begin to differ that updates take: of half precision weights may hardly move by them."""
        if self._traces.envelope is None or self._traces.divided:
            return []
        readers: dict[Pair, int] = {}
        for item, partner in self._items.items():
            side = self._traces, item, partner
            an_update = self._one.records[item[0]].site.phase == OPTIMIZER
            if an_update and self._search.gives_the_same(item, partner) and not is_made_up_for(*side):
                parts = self._one.parts(item), self._other.parts(partner)
                for pair in self._search.edges(item, partner):
                    if pair[0] in parts[0] or pair[1] in parts[1]:
                        continue
                    made = [graph.records[int(graph.maker[value])].site.phase
                            for graph, value in zip((self._one, self._other), pair, strict=True)]  # fmt: skip
                    if made != [OPTIMIZER] * 2 and self._search.has_one_shape(pair) and self._search.is_far(pair):
                        readers[pair] = min(item[0], readers.get(pair, item[0]))
        # As of updates, those of the first step in which either are: behind it all is far apart.
        steps = {pair: self._one.records[index].step for pair, index in readers.items()}
        first = min([*steps.values(), *(self._traces.record(value).step for value, _ in updates)], default=0)
        return self._search.roots([pair for pair, step in steps.items() if step == first], readers=readers)

    def _ends(self) -> list[Pair]:
        """Results that are too far apart and that no other operation takes, but to choose by them."""
        return [pair for pair in self._too_far if not self._traces.choices.read_as_numbers[pair[0]]]

    @cached_property
    def _too_far(self) -> list[Pair]:
        certain = (self._traces.apart > CERTAIN) & ~self._traces.choices.all[self._traces.values]
        far = certain if self._traces.envelope is None else self._traces.far
        return self._traces.pairs(far)

    def _is_certain(self, root: Root, *, sudden: bool) -> bool:
        """Whether a difference that begins somewhere cannot be rounding."""
        if self._traces.envelope is not None:
            return True
        if self._reshapes(root):
            return sudden
        if not root.distance > CERTAIN:
            return False
        record = self._traces.record(root.value)
        by_rounding = root.kind in (RootKind.OPERATION, RootKind.COMPILED)
        return not by_rounding or is_random(record) or not self._may_cancel(root)

    def _may_cancel(self, root: Root) -> bool:
        """Whether the results are so small beside what they were computed from that rounding alone may part them."""
        # Of a compiled graph it is not known what a result was computed from; of the operation in its place it is.
        compiled = is_compiled(self._one, [int(self._one.maker[root.value])])
        graph, made = (self._other, root.partner) if compiled else (self._one, root.value)
        taken = graph.inputs(graph.item_of(made))
        if (
            graph.records[int(graph.maker[made])].site.name == RECEIVED
        ):  # from a collective, which took this rank's part
            taken = graph.inputs(graph.item_of(taken[0]))
        norms = [float(graph.norms[value]) for value in taken if value >= 0 and graph.plain[value]]
        gap = root.distance * max(float(self._one.norms[root.value]), float(self._other.norms[root.partner]))
        return not gap > 1e-3 * max([*norms, float(np.prod(norms))], default=0.0)
