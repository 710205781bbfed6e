"""Running statistics are changed in place behind the schema's back; a trace holds them."""

import pytest
import torch
from tests.script.trace.recorded import recorded

SOURCE = """
import torch
torch.manual_seed(0)
x = torch.randn(8, 3)
norm = torch.nn.BatchNorm1d(3)
with torch.no_grad():
    norm(x)
    norm(x)
    norm.eval()
    norm(x)
"""


def normalisations(trace):
    return [record for record in trace.records if record.site.name == "aten::native_batch_norm"]


def test_running_statistics_are_results_and_what_evaluation_takes(tmp_path):
    first, second, evaluated = normalisations(recorded(SOURCE, tmp_path))
    torch.manual_seed(0)
    x = torch.randn(8, 3).double()
    mean, variance = x.mean(0), x.var(0)
    for record, share in ((first, 0.1), (second, 0.19)):
        expected = [share * mean, 1 - share + share * variance]
        norms = [output.norm for output in record.outputs[-2:]]
        assert norms == pytest.approx([float(values.norm()) for values in expected], rel=1e-6)
    assert len(evaluated.outputs) == len(first.outputs) - 2
    places = [len(first.outputs) - 2, len(first.outputs) - 1]
    assert second.inputs[-2:] == tuple((first.index, place) for place in places)
    assert evaluated.inputs[-2:] == tuple((second.index, place) for place in places)
