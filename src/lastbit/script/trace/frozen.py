"""Which parameters are trained in one of two runs only, where two traces part."""

import math
from collections.abc import Sequence
from typing import TypeAlias

from lastbit.errors import shortened
from lastbit.script.trace.graph import BACKWARD, OPTIMIZER, TraceGraph
from lastbit.script.trace.records import PARAMETER, Record

_MOST_NAMED = 3
_WHICH = ("first", "second")
_Sides: TypeAlias = Sequence[tuple[TraceGraph, int]]
_Only: TypeAlias = tuple[Sequence[Record], Sequence[Record]]


def trained_in_one_run(sides: _Sides, only: _Only, distance: float) -> str | None:
    """What is frozen in one trace, or not given to its optimizer, where that is what differs; None where it is not.

    Args:
        sides: the graphs of the first and the second trace, each with the value in it that differs.
        only: the operations before these that only the first, and only the second trace has.
        distance: between the values; NaN where it is not known.
    """
    return _left_as_it_was(sides) or _without_gradient(only, distance) or _updated_alone(sides, only)


def _left_as_it_was(sides: _Sides) -> str | None:
    """Whether the one value is a parameter as it was at first, and the other what an update made of it."""
    outside = [graph.is_outside(value) for graph, value in sides]
    if outside[0] == outside[1]:
        return None
    makers = [graph.records[int(graph.maker[value])] for graph, value in sides]
    kept, updated = outside.index(True), outside.index(False)
    site = makers[kept].site
    if site.name != PARAMETER or site.module is None or makers[updated].site.phase != OPTIMIZER:
        return None
    return _words([site.module], updated)


def _without_gradient(only: _Only, distance: float) -> str | None:
    """Whether one trace differentiates by a module's parameters and the other does not."""
    modules = [[r.site.module for r in side if r.site.phase == BACKWARD and r.site.module] for side in only]
    if not math.isnan(distance) or bool(modules[0]) == bool(modules[1]) or (only[0] and only[1]):
        return None
    which = 0 if modules[0] else 1
    alone = f"in the {_WHICH[which]} trace only: it is frozen in the other"
    return f"gradients of {modules[which][0]} are computed {alone}"


def _updated_alone(sides: _Sides, only: _Only) -> str | None:
    """Which parameters only one trace updates, of those whose updates are among the operations that it alone has."""
    updated = [{record.site.module for record in graph.records if record.site.phase == OPTIMIZER} for graph, _ in sides]
    for which, side in enumerate(only):
        others = updated[1 - which] - {None}  # of a foreach optimizer no operation has the name of a parameter
        names = dict.fromkeys(r.site.module for r in side if r.site.phase == OPTIMIZER and r.site.module is not None)
        if others and (alone := [name for name in names if name not in others]):
            return _words(alone, which)
    return None


def _words(names: Sequence[str], which: int) -> str:
    """That parameters are updated in one trace only."""
    are, they = ("is", "it is") if len(names) == 1 else ("are", "they are")
    alone = f"{are} updated in the {_WHICH[which]} trace only"
    return f"{shortened(names, _MOST_NAMED)} {alone}: {they} frozen, or not given to the optimizer, in the other"
