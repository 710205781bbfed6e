"""Programs without a fault, of kinds that an audit could take for one."""

import pytest

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
    "torch.compile, which runs eagerly under the audit": """
import torch
torch.manual_seed(0)
step = torch.compile(lambda x: (x * 2).relu().sum())
x = torch.randn(8, requires_grad=True)
step(x).backward()
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
