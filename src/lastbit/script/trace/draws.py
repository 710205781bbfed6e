"""Random draws in two traces: which operations draw, and why two draws give other numbers."""

from collections.abc import Mapping, Sequence

from lastbit.errors import shortened
from lastbit.script.audit.generators import Generators
from lastbit.script.trace.alignment import Alignment
from lastbit.script.trace.graph import TraceGraph
from lastbit.script.trace.records import Record

# They draw from a generator: other results of the same inputs are other draws. A trace is compared without torch, so
# the operations that torch tags as `nondeterministic_seeded` are listed here.
_DRAWS = {
    f"aten::{name}": what
    for names, what in (
        ("bernoulli bernoulli_ native_dropout _fused_dropout", "mask of a dropout"),
        ("randperm", "shuffle"),
        ("random random_", "seed of a loader or sampler"),
        ("normal_ normal_functional", "normal numbers, as of an initialisation"),
        ("uniform uniform_", "uniform numbers, as of an initialisation"),
        ("randn randn_like normal", "normal numbers"),
        ("rand rand_like", "uniform numbers"),
        ("randint randint_like", "random whole numbers"),
        ("multinomial", "random choices"),
        ("rrelu_with_noise rrelu_with_noise_ rrelu_with_noise_functional", "random slopes"),
        ("exponential exponential_", "exponential numbers, as of a Gumbel softmax"),
        ("geometric geometric_ poisson binomial", "random counts"),
        ("cauchy cauchy_", "Cauchy numbers"),
        ("log_normal log_normal_", "log-normal numbers"),
        ("_standard_gamma", "gamma numbers"),
        ("_sample_dirichlet", "Dirichlet numbers"),
    )
    for name in names.split()
}
# They draw where they drop out: attention by `dropout_p`, recurrent networks by `dropout` while they train.
_DROPPING = frozenset(
    {
        "aten::_cudnn_attention_forward",
        "aten::_efficient_attention_forward",
        "aten::_flash_attention_forward",
        "aten::_scaled_dot_product_attention_math",
        "aten::_scaled_dot_product_attention_math_for_mps",
        "aten::_scaled_dot_product_cudnn_attention",
        "aten::_scaled_dot_product_efficient_attention",
        "aten::_scaled_dot_product_flash_attention",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_fused_attention_overrideable",
        "aten::_triton_scaled_dot_attention",
        "aten::_cudnn_rnn",
        "aten::miopen_rnn",
        "aten::_lstm_mps",
    }
)
_MOST_NAMED = 3


def is_random(record: Record) -> bool:
    """Whether an operation draws random numbers."""
    return record.site.name in _DRAWS or (record.site.name in _DROPPING and _drops_out(record.arguments))


def _drops_out(arguments: Mapping[str, str]) -> bool:
    rate = arguments.get("dropout_p") or arguments.get("dropout") or "0"
    return float(rate) > 0 and arguments.get("train") != "False"


def describe_draws(traces: tuple[TraceGraph, TraceGraph], alignment: Alignment, one: Record, other: Record) -> str:
    """Say why the same operation draws other numbers.

    Args:
        traces: the first and the second.
        alignment: of both.
        one: the draw in the first trace.
        other: in the second.
    """
    what = _DRAWS.get(one.site.name, "mask of a dropout")
    return f"a random draw ({what}): {_generators(traces, alignment, one, other)}"


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
    on_device = [_on_device(state, kinds) for state in (before[0], before[1])]
    if apart := [device for device, state in on_device[0].items() if on_device[1].get(device, state) != state]:
        return (
            f"the generator of {apart[0]} was in other states when step {one.step} began: it was seeded differently, or"
            " one run drew more numbers before"
        )
    if not on_device[0] and before[0].torch_state != before[1].torch_state:
        return f"the seeds agree, but before step {one.step} one run drew more numbers than the other"
    return f"the generators agreed when step {one.step} began: since then one run drew more numbers"


def _on_device(state: Generators, kinds: Sequence[str]) -> dict[str, int]:
    """The states of the generators of some kinds of devices, by device."""
    return {device: value for device, value in state.accelerators if device.partition(":")[0] in kinds}


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
    """The distinct operations among some, with a line for each, and the type that a cast gives."""
    places = dict.fromkeys(
        record.site.name + _cast(record) + (f" at {record.site.line}" if record.site.line else "") for record in records
    )
    return shortened(list(places), _MOST_NAMED)


def calls_of_one_place(traces: tuple[TraceGraph, TraceGraph], makers: Sequence[Record], shapes: tuple[str, str]) -> str:
    """Say which of the tensors is taken that the same operation makes on the same line.

    Args:
        traces: the first and the second.
        makers: of the tensor in either.
        shapes: of the tensor in either.
    """
    texts = []
    for graph, maker, shape in zip(traces, makers, shapes, strict=True):
        same = [r.index for r in graph.records if (r.site.name, r.site.line) == (maker.site.name, maker.site.line)]
        texts.append(f"call {same.index(maker.index) + 1:,} of {len(same):,} (shape {shape})")
    name = named_operations(makers[:1])
    if texts[0] == texts[1]:
        return f"{name} gives another tensor in the same call, {texts[0].removeprefix('call ')}"
    return f"another tensor of {name} is taken: that of {texts[0]} against that of {texts[1]}"


def _cast(record: Record) -> str:
    kind = record.arguments.get("dtype") if record.site.name == "aten::_to_copy" else None
    return f" to {kind}" if kind else ""
