"""Which values of a trace are for rounding to choose: indices, truth values and counts that come from real numbers."""

import numpy as np

from lastbit.script.trace.distance import Array
from lastbit.script.trace.graph import UNKNOWN, TraceGraph
from lastbit.script.trace.one_operation import EPSILON
from lastbit.script.trace.records import OUTSIDE


class Choices:
    """What the choices of a program are, and what becomes of them.

    Which of two nearly equal numbers is the larger is for rounding to decide: `argmax`, `topk` and comparisons give
    whole numbers and truth values that flip as a whole, however little their inputs differ. So does all that is
    computed of those in whole numbers, as `eq` with the labels and its sum. How often that happens two noisy runs
    cannot tell: a rare flip is in neither.

    Args:
        graph: of the trace.
    """

    def __init__(self, graph: TraceGraph) -> None:
        count = len(graph.summaries)
        # Whole numbers and truth values that are computed from real ones, through others too, shape (n,).
        self.whole: Array = np.zeros(count, bool)
        # Real numbers that are computed from those alone, as the share of right answers, shape (n,).
        self.real: Array = np.zeros(count, bool)
        # Values that an operation takes which gives anything but choices, shape (n,).
        self.read_as_numbers: Array = np.zeros(count, bool)
        kinds = np.array([summary.dtype in EPSILON for summary in graph.summaries], bool)
        for item in (item for step in graph.items.values() for item in step):
            if graph.records[item[0]].site.phase == OUTSIDE:
                continue
            taken = [value for value in graph.inputs(item) if value != UNKNOWN]
            chosen = [bool(self.whole[value] or self.real[value]) for value in taken]
            # A sum of counts may begin at a real 0.
            alone = any(chosen) and all(
                is_chosen or not kinds[value] or graph.norms[value] == 0
                for value, is_chosen in zip(taken, chosen, strict=True)
            )
            given = graph.outputs(item)
            for value in given:
                self.whole[value] = not kinds[value] and (any(chosen) or bool(kinds[taken].any()))
                self.real[value] = kinds[value] and alone
            if not given or not all(self.whole[value] or self.real[value] for value in given):
                self.read_as_numbers[taken] = True

    @property
    def all(self) -> Array:
        """Either, shape (n,)."""
        either: Array = self.whole | self.real
        return either
