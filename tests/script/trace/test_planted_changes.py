"""Changes planted in small programs: which of them are other computations, and what differs in those."""

import math

import pytest
from tests.script.trace.recorded import recorded

from lastbit.script.trace.comparison import compare_traces

TABLE = """
import torch
from torch import nn
torch.manual_seed(0)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(16, 32)
        self.norm = nn.LayerNorm(32, eps=1e-5)
        self.drop = nn.Dropout(0.1)
        self.body = nn.Sequential(nn.GELU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
    def forward(self, x):
        return self.body(self.drop(self.norm(self.embed(x))))
model = Net()
inputs, labels = torch.randn(64, 16), torch.randint(10, (64,))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, foreach=False)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 5))
for step in range(4):
    batch = torch.randperm(64)[:32]
    loss = nn.functional.cross_entropy(model(inputs[batch]), labels[batch], label_smoothing=0.1)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1, foreach=False)
    optimizer.step()
    schedule.step()
"""  # noqa: E501 - lines of a program
IMAGES = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1, padding_mode="zeros"), nn.BatchNorm2d(8, momentum=0.1), nn.ReLU(),
    nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
inputs, labels = torch.randn(16, 3, 8, 8), torch.randint(4, (16,))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, foreach=False)
for step in range(3):
    loss = nn.functional.cross_entropy(model(inputs), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
MASKED = """
import torch
from torch import nn
torch.manual_seed(0)
query, key = nn.Linear(8, 8), nn.Linear(8, 8)
rows, ahead = torch.randn(4, 6, 8), torch.ones(6, 6, dtype=torch.bool).triu(1)
groups = [{"params": [query.weight, key.weight], "weight_decay": 0.1}, {"params": [query.bias], "weight_decay": 0.0}]
optimizer = torch.optim.SGD(groups, lr=0.1, foreach=False)
for step in range(2):
    taken = rows
    scores = query(taken) @ key(rows).mT
    shares = scores.masked_fill(ahead, float("-inf")).softmax(-1)
    loss = (shares @ rows).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
LOSS = "loss = nn.functional.cross_entropy(model(inputs[batch]), labels[batch], label_smoothing=0.1)"
PARTS = """for part in batch.chunk(4):
        loss = nn.functional.cross_entropy(model(inputs[part]), labels[part], label_smoothing=0.1) / {}
        loss.backward()
"""
WHOLE = f"{LOSS}\n    optimizer.zero_grad()\n    loss.backward()\n"
CLIP = "nn.utils.clip_grad_norm_(model.parameters(), 0.1, foreach=False)"
# Program, what is replaced by what, what differs and at which line of the first program.
OTHERS = {
    "dropout": (TABLE, "Dropout(0.1)", "Dropout(0.2)", "dropout p 0.1 against 0.2", 13),
    "no dropout": (TABLE, "for step in", "model.eval()\nfor step in", "only the first trace has aten::bernoulli_", 13),
    "eps of a norm": (TABLE, "eps=1e-5", "eps=1e-6", "layer_norm eps 1e-05 against 1e-06", 13),
    "norm left out": (TABLE, "(model.parameters(), lr", "([*model.embed.parameters(), *model.body.parameters()], lr",
                      "Net.norm.bias is updated in the first trace only", None),
    "two exchanged": (TABLE, "drop(self.norm(", "norm(self.drop(", "that of aten::addmm at train.py:13", 13),
    "gradients kept": (IMAGES, "optimizer.zero_grad()", "pass",
                       "the second trace alone adds the gradients of step 1 to those of step 0", None),
    "activation": (TABLE, "nn.ReLU()", "nn.GELU()", "the first trace has aten::relu", 13),
    "eps of Adam": (TABLE, "eps=1e-8", "eps=1e-6", "other of aten::add_, 1e-08 against 1e-06", 24),
    "beta2": (TABLE, "0.999)", "0.99)", "0.999 against 0.99", 24),
    "beta1": (TABLE, "(0.9,", "(0.8,", "weight of aten::lerp_", 24),
    "weight decay": (TABLE, "weight_decay=0.01", "weight_decay=0.1", "0.99998 against 0.9998", 24),
    "label smoothing": (TABLE, "label_smoothing=0.1", "label_smoothing=0.2", "mul other 0.01 against 0.02", 20),
    "warm-up": (TABLE, "(step + 1) / 5", "(step + 2) / 5", "a schedule is off by one step", 24),
    "no clipping": (TABLE, CLIP, "pass", "only the first trace has aten::linalg_vector_norm at train.py:23", 23),
    "clipping": (TABLE, "(), 0.1,", "(), 0.2,", "0.1 against 0.2", 23),
    "sum of losses": (TABLE, "label_smoothing=0.1", "reduction='sum'", "reduction 1 against 2", 20),
    "loss times 32": (TABLE, "loss.backward()", "(32 * loss).backward()", "only the second trace has aten::mul", 20),
    "accumulation": (TABLE, WHOLE, "optimizer.zero_grad()\n    " + PARTS.format(3), "aten::div at train.py:22", 20),
    "frozen": (TABLE, "optimizer =", "model.body[1].weight.requires_grad_(False)\noptimizer =", "model.body.1", None),
    "initialisation": (TABLE, "inputs, l", "nn.init.zeros_(model.body[1].bias)\ninputs, l", "aten::zero_", 13),
    "shuffle": (TABLE, "randperm(64)", "randperm(64, generator=torch.Generator().manual_seed(step))", "generator", 19),
    "padding": (IMAGES, '"zeros"', '"circular"', "", 11),
    "batch norm": (IMAGES, "momentum=0.1)", "momentum=0.01)", "batch_norm momentum 0.1 against 0.01", 11),
    "eval of a norm": (IMAGES, "optimizer =", "model.eval()\noptimizer =", "norm training True against False", 11),
    "a bias less": (IMAGES, "(8, 8, 3, padding=1)", "(8, 8, 3, padding=1, bias=False)",
                    "only the first trace draws before it (by aten::uniform_ at train.py:", 7),
    "two passes": (TABLE, "loss.backward()", "loss.backward(retain_graph=True)\n    loss.backward()",
                   "1 backward pass against 2 before the update", None),
    "decay": (IMAGES, "weight_decay=1e-3", "weight_decay=1e-4", "alpha of aten::add, 0.001", 14),
    "momentum": (IMAGES, "momentum=0.9", "momentum=0.8", "0.9 against 0.8", 14),
    "learning rate": (IMAGES, "lr=0.1", "lr=0.05", "-0.1 against -0.05", 14),
    "learning rate later": (IMAGES, "optimizer.step()", "optimizer.step()\n    optimizer.param_groups[0]['lr'] = 0.01",
                            "-0.1 against -0.01", 14),
    "behind a mask": (MASKED, "@ key(rows).mT", "@ (2 * key(rows)).mT", "only the second trace has aten::mul", 11),
    "another of two": (MASKED, "query(taken)", "key(taken)",
                       "at train.py:5 is taken: that of call 1 of 4 (shape 8 x 8) against that of call 3 of 4", 11),
    "groups": (MASKED, "0.0}]", "0.1}]", "weight_decay 0.0 against 0.1", 16),
    "one group": (MASKED, "SGD(groups", "SGD([*query.parameters(), key.weight], weight_decay=0.1",
                  "2 groups of parameters (weight_decay 0.1 and 0.0) against 1 (weight_decay 0.1)", 16),
}  # fmt: skip
ROUNDING = {
    "foreach": (TABLE, "foreach=False)\nschedule", "foreach=True)\nschedule"),
    "fused": (TABLE, "foreach=False)\nschedule", "fused=True)\nschedule"),
    "foreach clipping": (TABLE, "0.1, foreach=False)", "0.1, foreach=True)"),
    "accumulation": (TABLE, WHOLE, "optimizer.zero_grad()\n    " + PARTS.format(4)),
    "decomposed layer": (TABLE, "self.embed(x)", "(x @ self.embed.weight.T + self.embed.bias)"),
    "channels last": (IMAGES, "optimizer =", "model.to(memory_format=torch.channels_last)\n"
                      "inputs = inputs.contiguous(memory_format=torch.channels_last)\noptimizer ="),
    "foreach SGD": (IMAGES, "foreach=False", "foreach=True"),
    "an operation more": (IMAGES, "loss.backward()", "loss.backward()\n    float(loss.detach() * 2)"),
}  # fmt: skip


def envelope(record, place):
    """Rounding that doubles at each step, as in so small networks; a gradient that vanishes is nothing else."""
    if record.site.name == "aten::convolution_backward" and len(record.outputs[place].shape) == 1:
        return math.inf
    return 1e-4 * 2**record.step


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """The traces of the programs without a change."""
    with pytest.MonkeyPatch.context() as patch:
        traces = {}
        for source in (TABLE, IMAGES, MASKED):
            folder = tmp_path_factory.mktemp("reference")
            patch.chdir(folder)
            traces[source] = recorded(source, folder)
    return traces


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Record a program with a change."""
    monkeypatch.chdir(tmp_path)

    def run(source, old, new):
        assert source.count(old) >= 1
        return recorded(source.replace(old, new), tmp_path)

    return run


@pytest.mark.parametrize("name", OTHERS)
def test_another_computation_is_named_with_its_line(references, changed, name):
    source, old, new, words, line = OTHERS[name]
    other = changed(source, old, new)
    for known in (envelope, None):
        comparison = compare_traces(references[source], other, known)
        beyond = comparison.beyond_rounding
        assert beyond is not None, comparison.verdict
        assert words in beyond.differs
        if line is not None:
            assert beyond.line == f"train.py:{line}"
        assert comparison.is_rounding is False


def test_a_tensor_that_is_broadcast_is_named_with_both_shapes(changed):
    source = """
import torch
torch.manual_seed(0)
weight, rows, wanted = torch.randn(3, 1, requires_grad=True), torch.randn(8, 3), torch.randn(8, 1)
(rows @ weight - wanted).square().mean().backward()
torch.optim.SGD([weight], lr=0.1).step()
"""
    traces = changed(source, "", ""), changed(source, "- wanted", "- wanted[:, 0]")
    beyond = compare_traces(*traces, envelope).beyond_rounding
    assert beyond.differs == "aten::sub at train.py:5 gives a tensor of shape 8 x 1 against 8 x 8"


@pytest.mark.parametrize("name", ROUNDING)
def test_what_only_rounds_is_no_bug(references, changed, name):
    source, old, new = ROUNDING[name]
    other = changed(source, old, new)
    comparison = compare_traces(references[source], other, envelope)
    assert comparison.is_rounding, comparison.verdict
    assert compare_traces(references[source], other).beyond_rounding is None


def test_a_program_recorded_twice_has_the_same_bits(references, changed):
    for source in (TABLE, IMAGES, MASKED):
        assert compare_traces(references[source], changed(source, "", "")).same_bits
