"""Other intermediate values are another computation only where something of them lasts."""

import math

import pytest
from tests.script.trace.recorded import recorded

from lastbit.script.trace.comparison import compare_traces

SOURCE = """
import torch
from torch import nn
torch.manual_seed(0)
model, norm = nn.Linear(8, 16), nn.BatchNorm1d(16)
inputs, targets = torch.randn(32, 8), torch.randn(32, 16)
rate = 0.05
optimizer = torch.optim.SGD(model.parameters(), lr=rate, foreach=False)
for step in range(2):
    rows = (inputs * 1.0 + 0.0 - 0.0) / 1.0
    raw = (rows.float() * 3).float()
    hidden = model(raw)
    hidden = hidden - hidden.mean(-1, keepdim=True)
    scale = hidden.detach().norm().reciprocal().mul(1.0).clamp(max=1e-6).clamp(max=5.0)
    hidden = norm(hidden * 1.0)
    loss = (hidden - targets).square().mean() + scale
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
# What is replaced by what, and what the verdict says of it.
UNDONE = {
    "shifted and back": ("+ 0.0 - 0.0)", "+ 7.0 - 7.0)", "add other 0.0 against 7.0"),
    "scaled and back": ("* 1.0 + 0.0 - 0.0) / 1.0", "* 4.0 + 0.0 - 0.0) / 4.0", "mul other 1.0 against 4.0"),
    "never reached": ("mul(1.0)", "mul(2.0)", "mul other 1.0 against 2.0"),
    "number in single precision": ("rate = 0.05", "rate = 0.05000000074505806", ""),
    "rate as a tensor": ("rate = 0.05", "rate = torch.tensor(0.05)", ""),
    "in double": ("(rows.float() * 3)", "(rows.double() * 3)", ""),
    "dimension from the beginning": ("mean(-1,", "mean(1,", ""),
}
LASTING = {
    "scaled before a running mean": ("norm(hidden * 1.0)", "norm(hidden * 1.01)", "mul other 1.0 against 1.01"),
    "half undone": ("* 1.0 + 0.0 - 0.0) / 1.0", "* 4.0 + 0.0 - 0.0) / 2.0", "mul other 1.0 against 4.0"),
    "in the loss alone": ("mul(1.0).clamp(max=1e-6)", "mul(2.0)", ""),
    "learning rate": ("rate = 0.05", "rate = 0.0500001", "alpha of aten::add_"),
    "rate in a tensor": ("rate = 0.05", "rate = torch.tensor(0.06)", "aten::add_"),
    "another dimension": ("mean(-1, keepdim=True)", "mean(0, keepdim=True)", "of shape 32 x 1 against 1 x 16"),
    "in half": ("(rows.float() * 3)", "(rows.bfloat16() * 3)", "bfloat16"),
}


def envelope(record, place):
    """Rounding that doubles at each step; the gradient of a bias before a normalisation is nothing else."""
    if record.site.phase == "backward" and math.prod(record.outputs[place].shape) == 16:
        return math.inf
    return 1e-5 * 2**record.step


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return recorded(SOURCE, folder)


@pytest.fixture
def compared(reference, tmp_path, monkeypatch):
    """The comparison with the program after a change."""
    monkeypatch.chdir(tmp_path)

    def compare(old, new):
        assert SOURCE.count(old) == 1
        return compare_traces(reference, recorded(SOURCE.replace(old, new), tmp_path), envelope)

    return compare


@pytest.mark.parametrize("name", UNDONE)
def test_what_is_undone_is_the_same_computation_and_said(compared, name):
    old, new, words = UNDONE[name]
    comparison = compared(old, new)
    assert comparison.is_rounding, comparison.verdict
    assert words in comparison.verdict
    assert ("undone by operation" in comparison.verdict) is bool(words)


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_is_another_computation(compared, name):
    old, new, words = LASTING[name]
    comparison = compared(old, new)
    assert comparison.is_rounding is False, comparison.verdict
    assert words in comparison.beyond_rounding.differs


def test_an_argument_that_changes_no_bit_is_named(compared):
    comparison = compared("5.0", "6.0")
    assert comparison.same_bits
    assert "another argument changes nothing (clamp max 5.0 against 6.0 at train.py:14" in comparison.verdict
    assert all(place.undone_by == place.index for place in comparison.ranks[0].undone)
