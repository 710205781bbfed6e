"""Draws in traces, against the seeds of the programs that were recorded, and against torch's own tags."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.script.trace.recorded import recorded
from tests.script.trace.written_traces import Writer

from lastbit.script.audit.generators import Generators
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.draws import is_random
from lastbit.script.trace.records import Record, Site

DRAWS = [
    "torch.nn.functional.gumbel_softmax(x)",
    "torch.poisson(x)",
    "torch.binomial(x, x / 9)",
    "torch.empty(8).geometric_(0.3)",
    "torch.empty(8).cauchy_()",
    "torch.empty(8).log_normal_()",
    "torch._standard_gamma(x)",
    "torch.nn.functional.dropout(x)",
    "torch.nn.functional.scaled_dot_product_attention(*[x.view(1, 4, 2)] * 3, dropout_p=0.5)",
]
# Composites, which are never recorded, backward passes, whose seeds are given, and what draws nothing.
NONE = {f"aten::{name}" for name in ("dropout", "dropout_", "rnn_tanh", "rnn_relu", "gru", "lstm", "rrelu", "rrelu_")}
NONE |= {
    f"aten::{kind}{end}" for kind in ("alpha_dropout", "feature_dropout", "feature_alpha_dropout") for end in ("", "_")
}
NONE |= {
    "aten::_cudnn_init_dropout_state",
    "aten::_fill_mem_eff_dropout_mask_",
    "aten::_flash_attention_forward_no_dropout_inplace",
    "aten::_fused_sdp_choice",
    "aten::_nested_tensor_softmax_with_shape",
    "aten::scaled_dot_product_attention",
}


def record(name, numbers):
    """An operation with numbers for arguments."""
    site = Site(name, "forward", None, None, None, (), tuple(numbers))
    return Record(0, 0, site, (), tuple(numbers.values()), ())


@pytest.mark.parametrize("call", DRAWS)
def test_another_seed_is_a_random_draw_and_no_other_kernel(call, tmp_path):
    sides = [
        recorded(f"import torch\ntorch.manual_seed({seed})\nx = torch.full((8,), 3.0)\n{call}", tmp_path, str(seed))
        for seed in (0, 1)
    ]
    found = compare_traces(*sides)
    assert "a random draw (" in found.verdict
    assert not compare_traces(sides[0], sides[0]).beyond_rounding


def test_all_that_torch_tags_as_drawing_is_known():
    """Attention and recurrent networks draw where they drop out."""
    tagged = set()
    for schema in torch._C._jit_get_all_schemas():
        overload = schema.overload_name or "default"
        packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::"), None) if "aten::" in schema.name else None
        if overload in dir(packet) and torch.Tag.nondeterministic_seeded in getattr(packet, overload).tags:
            tagged.add(schema.name)
    assert {"aten::exponential_", "aten::_scaled_dot_product_flash_attention"} <= tagged
    on = {"dropout_p": "0.1", "dropout": "0.1", "train": "True"}
    unknown = {name for name in tagged - NONE if not name.endswith("_backward") and not is_random(record(name, on))}
    assert not unknown


def test_without_dropout_attention_and_recurrent_networks_draw_nothing():
    assert not is_random(record("aten::_scaled_dot_product_flash_attention", {}))
    assert not is_random(record("aten::_scaled_dot_product_flash_attention", {"dropout_p": "0.0"}))
    assert not is_random(record("aten::_cudnn_rnn", {"dropout": "0.2", "train": "False"}))
    assert is_random(record("aten::_cudnn_rnn", {"dropout": "0.2", "train": "True"}))
    assert not is_random(record("aten::add", {"alpha": "0.1"}))


@pytest.mark.parametrize("states", [(5, 5), (5, 6)], ids=["alike", "another"])
def test_of_a_draw_on_a_device_the_state_of_its_generator_decides(states):
    """Two draws on a card with other results; the generator of the processor is in other states in any case."""
    sides = []
    for side, state in enumerate(states):
        writer = Writer()
        writer.step()
        writer.do("bernoulli_", [], {"mask": np.full(8, side + 1.0)})
        trace = writer.trace()
        drawn = [replace(r, outputs=tuple(replace(o, device="cuda") for o in r.outputs)) for r in trace.records]
        generators = {step: Generators(0, side, 0, 0, (("cuda:0", state),)) for step in range(3)}
        sides.append(replace(trace, records=tuple(drawn), generators=generators))
    words = compare_traces(*sides).beyond_rounding.differs
    assert ("the generator of cuda:0 was in other states when step 1 began" in words) is (states == (5, 6))
    assert ("the generators agreed when step 1 began" in words) is (states == (5, 5))
