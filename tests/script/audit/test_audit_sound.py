"""Programs without a fault, of kinds that an audit could take for one."""

from types import SimpleNamespace

import pytest

from lastbit.script.audit.causes import explain

SOUND = {
    "workers that finish their batches in any order": """
import os, time, torch
from torch.utils.data import DataLoader, Dataset
torch.manual_seed(0)
class Slow(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        time.sleep(0.03 * (i % 2 == int(os.environ["PYTHONHASHSEED"]) % 2))
        return torch.rand(3)
for batch in DataLoader(Slow(), batch_size=1, num_workers=2, shuffle=True):
    batch * 2
""",
    "threads whose results are collected in order": """
import os, time, torch
from concurrent.futures import ThreadPoolExecutor
def slow(number):
    time.sleep(0.03 * (number == int(os.environ["PYTHONHASHSEED"])))
    return torch.full((4,), number) / 3
with ThreadPoolExecutor(4) as pool:
    total = torch.stack(list(pool.map(slow, range(4)))).sum()
""",
    "memory without values that is only copied, or written in parts": """
import torch
from torch import nn
skipped = nn.utils.skip_init(nn.Linear, 4, 3).to(torch.float64)
skipped.load_state_dict({"weight": torch.ones(3, 4), "bias": torch.zeros(3)})
skipped(torch.ones(2, 4, dtype=torch.float64))
buffer = torch.empty(4, 2)
for row in range(4):
    buffer[row] = row
buffer.clone().sum()
torch.add(torch.ones(3), 1, out=torch.empty(3))
""",
    "kernels with scratch memory": """
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(2, 5, 8)
for net in (nn.LSTM(8, 8, batch_first=True), nn.GRU(8, 8, batch_first=True)):
    net(x)[0].sum().backward()
nn.TransformerEncoderLayer(8, 2, batch_first=True)(x).sum().backward()
nn.EmbeddingBag(10, 3, mode="max")(torch.arange(8).view(2, 4)).sum().backward()
nn.GroupNorm(2, 8)(x.transpose(1, 2)).sum().backward()
nn.functional.nll_loss(torch.randn(3, 5).log_softmax(1), torch.tensor([0, 1, 2]), reduction="none")
nn.functional.max_pool2d(torch.randn(1, 2, 8, 8), 2)
""",
    "layouts of all kinds": """
import torch
torch.manual_seed(0)
x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
w = torch.randn(4, 3, 3, 3, requires_grad=True)
torch.nn.functional.conv2d(x, w).sum().backward()
torch.fft.fft(torch.randn(8)).conj() * 2
torch.ones(3).expand(4, 3) * 1
torch.randn(4, 4)[::2, 1::2].t() + 1
torch.tensor([]), torch.zeros(0, 3).sum(), torch.tensor(True) & True
torch.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (2,)) * 2
torch.randn(5).to(torch.bfloat16).to(torch.float8_e4m3fn)
torch.empty(3, device="meta") + 1
""",
    "memory without values that is written by index, mask and scatter": """
import torch
torch.manual_seed(0)
x = torch.randn(8)
mask = x > 0
for out in (torch.empty(8), torch.empty_like(x), x.new_empty(8), torch.empty_strided((8,), (1,)), torch.Tensor(8)):
    out[mask] = x[mask]
    out[~mask] = -x[~mask]
    out.sum()
labels = torch.empty(8, dtype=torch.long)
labels[mask] = 0
labels[~mask] = 1
labels.sum()
flags = torch.empty(8, dtype=torch.bool)
flags.masked_fill_(mask, True).masked_fill_(~mask, False).sum()
whole = torch.empty(8).scatter_(0, torch.arange(4), x[:4])
whole.index_copy_(0, torch.arange(4, 8), x[4:]).sum()
complex(torch.empty(8, dtype=torch.complex64).masked_scatter_(mask, x + 0j).masked_fill_(~mask, 1).sum())
grown = torch.ones(2).resize_(4)
grown[2:] = 1
grown.sum()
torch.add(x, x, out=torch.empty(0)).sum()
torch.cat([torch.empty(2), x])[2:].sum()
""",
    "padding that is computed with, and thrown away": """
import torch
torch.manual_seed(0)
layer = torch.nn.Linear(4, 3)
padded, lengths = torch.empty(2, 5, 4), (3, 5)
for row, length in enumerate(lengths):
    padded[row, :length] = torch.randn(length, 4)
used = torch.tensor([[place < length for place in range(5)] for length in lengths])
out = torch.nn.functional.dropout(layer(padded), 0.5)
out[used].sum().backward()
torch.where(used, out.sum(2), 0).sum()
""",
    "a cache whose beginning is written again and again, and whose end is masked": """
import torch
torch.manual_seed(0)
k = torch.randn(8, 4)
for cache, keys in ((torch.empty(16, 4), k), (torch.empty(4, 16).t(), k), (torch.empty(16, 8)[:, ::2], k)):
    for t in range(1, 9):
        cache[:t] = keys[:t]
    scores = (k[:1] @ cache.t()).masked_fill(torch.arange(16) >= 8, float("-inf"))
    scores.softmax(1).sum()
x = torch.empty(100)
x[:60] = 1
x[:50] = 2
(x * 2)[:60].sum()
""",
    "a loss by CTC, whose kernel leaves part of its tables unwritten": """
import torch
torch.manual_seed(0)
p = torch.randn(10, 2, 5, requires_grad=True)
targets, lengths = torch.tensor([[1, 2], [3, 4]]), (torch.tensor([10, 7]), torch.tensor([2, 2]))
for _ in range(3):
    torch.nn.functional.ctc_loss(p.log_softmax(2), targets, *lengths).backward()
""",
    "fused and foreach updates, clipping, schedules, a second thread": """
import threading, torch
torch.manual_seed(0)
for options in ({"fused": True}, {"foreach": True}, {}):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, **options)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
    for _ in range(2):
        model(torch.ones(4, 3)).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
thread = threading.Thread(target=lambda: torch.rand(3))
thread.start()
thread.join()
""",
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_program_has_no_difference(audited, name):
    found = audited(SOUND[name])
    assert found.first_difference is None
    assert found.operations > 0


def test_what_has_no_plain_memory_is_counted(audited):
    found = audited(SOUND["layouts of all kinds"])
    assert found.deterministic
    assert "aten::mul" in found.unseen


def test_steps_limit_the_audit(audited):
    found = audited(SOUND["fused and foreach updates, clipping, schedules, a second thread"], steps=3)
    assert found.steps == 3
    assert found.deterministic


def test_what_only_the_filling_shows_is_no_failure(audited, tmp_path):
    source = "import torch\ntorch.manual_seed(0)\nnet = torch.nn.Conv2d(1, 2, 3)\n"
    source += "print(net(torch.empty(1, 1, 5, 5)).shape)\n"
    found = audited(source + "net(torch.ones(1, 1, 5, 5)).sum().backward()\n")
    assert found.deterministic
    assert found.first_difference.only_filled
    assert (found.first_difference.op, found.first_difference.line) == ("aten::convolution", "train.py:4")
    assert "uninitialised memory" in found.first_difference.cause
    assert found.operations > 5


@pytest.mark.parametrize("way", ["float(torch.empty(3).numpy().sum())", "sum(torch.empty(3).tolist())"])
def test_no_difference_is_blamed_on_what_only_the_filling_brings_by_way_of_python(audited, way):
    found = audited(f"import torch\ntorch.ones(3) + 1\ntorch.tensor({way}) * 2\n")
    assert found.deterministic
    assert (found.first_difference.only_filled, found.first_difference.line) == (True, "train.py:3")
    assert "uninitialised memory" in found.first_difference.cause
    assert "torch.zeros" in found.first_difference.cure


def test_a_difference_that_comes_only_now_and_then_is_not_blamed_on_the_filling(audited, tmp_path):
    source = "import os, pathlib, torch\ntorch.empty(3)\ncount = pathlib.Path('count' + os.environ['PYTHONHASHSEED'])\n"
    source += "first = not count.exists()\ncount.touch()\ntorch.tensor(float(first * int(count.name[-1])))\n"
    found = audited(source)
    assert not found.deterministic
    assert (found.first_difference.line, found.first_difference.kind) == ("train.py:6", "data")
    assert not found.first_difference.only_filled


def test_a_difference_of_unknown_source_is_reported_in_whole_sentences():
    one = SimpleNamespace(reading=False, random=False, graph=None)
    evidence = SimpleNamespace(one=one, other=one, parted=False, unwritten=False, changed_inputs=True)
    evidence.calls = evidence.drawn_differently = ()
    evidence.batch = None
    assert explain(evidence).cause == (
        "a tensor it takes was changed from outside torch, as through the array of `.numpy()`; the difference may come"
        " from a file, another process or thread, the clock, or the order of a set"
    )


def test_a_program_that_only_the_filling_breaks_is_audited_without(audited):
    found = audited("import torch\nx = torch.empty(3)\nassert not x.bool().any()\ntorch.ones(3) + 1\n")
    assert found.deterministic
    assert [note[:8] for note in found.notes] == ["it fails"]


def test_a_true_difference_behind_one_of_the_filling_is_found(audited):
    source = "import torch\nunused = torch.empty(3) + 1\nx = torch.rand(3)\n"
    found = audited(source).first_difference
    assert (found.op, found.line, found.only_filled) == ("aten::rand", "train.py:3", False)


def test_memory_that_a_kernel_does_not_initialise_is_told_from_threads(audited):
    source = "import torch\ntorch.manual_seed(0)\ntorch.set_num_threads(1)\nx = torch.randn(6, 6)\n"
    source += "for n in range(200):\n    junk = torch.randint(2, (n % 50 + 1,), dtype=torch.int32)\n"
    found = audited(source + "    torch.linalg.lstsq(x, x)\n").first_difference
    assert found.op == "aten::linalg_lstsq"
    assert "it reads memory that it allocates itself and does not initialise" in found.cause
    assert "atomically" not in found.cause
    assert 'driver="gels"' in found.cure


def test_a_loop_by_the_clock_is_said_to_be_one(audited):
    source = "import time, torch\nend = time.monotonic() - 1\nwhile time.monotonic() < end:\n    pass\n"
    (note,) = audited(source + "torch.ones(3) + 1\n").notes
    assert note.startswith("train.py:3 decides by time.monotonic(), which reads the clock")


def test_a_program_that_only_prints_the_time_has_no_note(audited):
    source = "import time, torch\nstart = time.time()\ntorch.ones(3) + 1\nprint(time.time() - start)\n"
    assert audited(source).notes == ()


def test_unseeded_draws_that_nothing_depends_on_are_noted(audited):
    source = "import os, random, torch\nrandom.seed(int(os.environ['PYTHONHASHSEED']))\nrandom.random()\n"
    (note,) = audited(source + "torch.ones(3) + 1\n").notes
    assert note.startswith("Python's random was drawn from without a fixed seed")
