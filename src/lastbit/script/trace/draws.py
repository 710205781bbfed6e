"""Random draws in two traces: which operations draw, and why two draws give other numbers."""

from collections.abc import Sequence

from lastbit.errors import shortened
from lastbit.script.trace.alignment import Alignment
from lastbit.script.trace.graph import TraceGraph
from lastbit.script.trace.records import Record

# They draw from a generator: other results of the same inputs are other draws.
_DRAWS = {
    "aten::bernoulli": "mask of a dropout",
    "aten::bernoulli_": "mask of a dropout",
    "aten::native_dropout": "mask of a dropout",
    "aten::randperm": "shuffle",
    "aten::random_": "seed of a loader or sampler",
    "aten::normal_": "normal numbers, as of an initialisation",
    "aten::uniform_": "uniform numbers, as of an initialisation",
    "aten::randn": "normal numbers",
    "aten::randn_like": "normal numbers",
    "aten::normal": "normal numbers",
    "aten::rand": "uniform numbers",
    "aten::rand_like": "uniform numbers",
    "aten::randint": "random whole numbers",
    "aten::randint_like": "random whole numbers",
    "aten::multinomial": "random choices",
    "aten::rrelu_with_noise": "random slopes",
}
_MOST_NAMED = 3


def is_random(record: Record) -> bool:
    """Whether an operation draws random numbers."""
    return record.site.name in _DRAWS


def describe_draws(traces: tuple[TraceGraph, TraceGraph], alignment: Alignment, one: Record, other: Record) -> str:
    """Say why the same operation draws other numbers.

    Args:
        traces: the first and the second.
        alignment: of both.
        one: the draw in the first trace.
        other: in the second.
    """
    return f"a random draw ({_DRAWS[one.site.name]}): {_generators(traces, alignment, one, other)}"


def _generators(traces: tuple[TraceGraph, TraceGraph], alignment: Alignment, one: Record, other: Record) -> str:
    """What is known of the random generators at two draws."""
    own = ["generator" in record.arguments for record in (one, other)]
    if own[0] != own[1]:
        return f"the {'first' if own[0] else 'second'} trace draws from a generator of its own"
    kinds = sorted({record.outputs[0].device for record in (one, other) if record.outputs})
    if len(kinds) > 1:
        return f"generators of {' and '.join(kinds)} give other numbers for one seed"
    # What was seeded before the program began is no matter, so seeds are looked up behind the draw.
    after = [graph.trace.generators.get(one.step + 1) for graph in traces]
    before = [graph.trace.generators.get(one.step) for graph in traces]
    if after[0] and after[1] and after[0].torch_seed != after[1].torch_seed:
        return f"torch's generator was seeded with {after[0].torch_seed} and with {after[1].torch_seed}"
    if (earlier := _draws_before(traces, alignment, one, other)) is not None:
        return earlier
    if not (one.step and before[0] and before[1]):
        return "torch's generator was seeded differently, or more numbers were drawn from one before"
    if before[0].torch_state != before[1].torch_state:
        return f"the seeds agree, but before step {one.step} one run drew more numbers than the other"
    return f"the generators agreed when step {one.step} began: since then one run drew more numbers"


def _draws_before(
    traces: tuple[TraceGraph, TraceGraph], alignment: Alignment, one: Record, other: Record
) -> str | None:
    """Which trace draws before two draws what the other does not."""
    sides = ((traces[0], alignment.only_one, one), (traces[1], alignment.only_other, other))
    for which, (graph, only, record) in zip(("first", "second"), sides, strict=True):
        records = [graph.records[index] for index in only if index < record.index]
        if draws := [r for r in records if is_random(r) and "generator" not in r.arguments]:
            return f"only the {which} trace draws before it (by {named_operations(draws)})"
    return None


def named_operations(records: Sequence[Record]) -> str:
    """The distinct operations among some, with a line for each."""
    places = dict.fromkeys(
        record.site.name + (f" at {record.site.line}" if record.site.line else "") for record in records
    )
    return shortened(list(places), _MOST_NAMED)
