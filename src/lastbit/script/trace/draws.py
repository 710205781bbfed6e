"""Random draws in two traces: which operations draw, and what is known of the generators where a draw differs."""

from lastbit.script.trace.records import Record, RunTrace

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


def is_random(record: Record) -> bool:
    """Whether an operation draws random numbers."""
    return record.site.name in _DRAWS


def draw_words(traces: tuple[RunTrace, RunTrace], one: Record, other: Record) -> str:
    """What differs between two draws.

    Args:
        traces: the first and the second.
        one: the draw in the first; an operation of which `is_random` is true.
        other: in the second.
    """
    return f"a random draw ({_DRAWS[one.site.name]}): {_generators(traces, one, other)}"


def _generators(traces: tuple[RunTrace, RunTrace], one: Record, other: Record) -> str:
    """What is known of the random generators at two draws."""
    own = ["generator" in record.arguments for record in (one, other)]
    if own[0] != own[1]:
        return f"the {'first' if own[0] else 'second'} trace draws from a generator of its own"
    kinds = sorted({record.outputs[0].device for record in (one, other) if record.outputs})
    if len(kinds) > 1:
        return f"generators of {' and '.join(kinds)} give other numbers for one seed"
    # What was seeded before the program began is no matter, so seeds are looked up behind the draw.
    after = [trace.generators.get(one.step + 1) for trace in traces]
    before = [trace.generators.get(one.step) for trace in traces]
    if after[0] and after[1] and after[0].torch_seed != after[1].torch_seed:
        return f"torch's generator was seeded with {after[0].torch_seed} and with {after[1].torch_seed}"
    if not (one.step and before[0] and before[1]):
        return "torch's generator was seeded differently, or more numbers were drawn from one before"
    if before[0].torch_state != before[1].torch_state:
        return f"the seeds agree, but before step {one.step} one run drew more numbers than the other"
    return f"the generators agreed when step {one.step} began: since then one run drew more numbers"
