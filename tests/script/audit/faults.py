"""Programs with a planted fault each, and what the audit must say of them.

The line at fault ends in `# here`. Where a fault needs a scheduler, a file system or an allocator to differ between two
runs on an idle machine, PYTHONHASHSEED, 1 in one run and 2 in the other, decides what they do.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A program, and its first difference."""

    source: str
    op: str
    kind: str
    cause: str  # a part of it
    phase: str = "forward"
    module: str | None = None
    step: int = 0
    threads: tuple[int | None, int | None] = (None, None)

    @property
    def line(self) -> int:
        """Number of the line at fault."""
        return next(number for number, line in enumerate(self.source.splitlines(), 1) if line.endswith("# here"))


RANDOMNESS, ARITHMETIC, DATA = "randomness", "arithmetic", "data"

_TRAIN = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
inputs, targets = torch.randn(8, 4), torch.randn(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
def loss():
    return nn.functional.mse_loss(model(inputs), targets)
"""
_RACE = """
import os, threading, time, torch
def slow(number):
    time.sleep(0.05 * (number == int(os.environ["PYTHONHASHSEED"])))
    return torch.full((4,), float(number + 1))
"""

FAULTS = {
    "unseeded dropout": Fault(
        """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
torch.seed()
model(torch.ones(8, 4)).sum().backward()  # here
""",
        "aten::bernoulli_",
        RANDOMNESS,
        "mask of a dropout",
        module="model.1",
    ),
    "unseeded initialisation": Fault(
        """
from torch import nn
model = nn.Linear(4, 3)  # here
""",
        "aten::uniform_",
        RANDOMNESS,
        "never seeded",
    ),
    "unseeded shuffle of a loader": Fault(
        """
import torch
from torch.utils.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(torch.arange(8.0)), batch_size=4, shuffle=True)
for (batch,) in loader:  # here
    batch.sum()
""",
        "aten::random_",
        RANDOMNESS,
        "seed that a loader or sampler draws: torch's generator was never seeded",
    ),
    "unseeded permutation": Fault(
        """
import torch
order = torch.randperm(64)  # here
""",
        "aten::randperm",
        RANDOMNESS,
        "unseeded shuffle",
    ),
    "augmentation by Python's random": Fault(
        """
import random
import torch
images = torch.ones(2, 3)
brighter = images * random.uniform(0.8, 1.2)  # here
""",
        "aten::mul",
        RANDOMNESS,
        "Python's random was drawn from",
    ),
    "crop by Python's random": Fault(
        """
import random
import torch
torch.manual_seed(0)
images = torch.randn(2, 4096)
left = random.randrange(4000)
crop = images[:, left : left + 8]  # here
""",
        "aten::slice",
        RANDOMNESS,
        "Python's random was drawn from",
    ),
    "augmentation by NumPy's random": Fault(
        """
import numpy, torch
noise = torch.from_numpy(numpy.random.normal(size=4))  # here
noisy = torch.ones(4) + noise
""",
        "aten::lift_fresh",
        RANDOMNESS,
        "numpy.random was drawn from",
    ),
    "an unseeded NumPy generator": Fault(
        """
import numpy as np
import torch
rng = np.random.default_rng()
noisy = torch.ones(4) + torch.from_numpy(rng.normal(size=4))  # here
""",
        "aten::lift_fresh",
        RANDOMNESS,
        "numpy.random.default_rng() at train.py:4 draws from the system's entropy",
    ),
    "shuffle by NumPy": Fault(
        """
import numpy, torch
data = torch.arange(64.0)
batch = data[torch.from_numpy(numpy.random.permutation(64))]  # here
""",
        "aten::lift_fresh",
        RANDOMNESS,
        "the same ones in another order; numpy.random was drawn from",
    ),
    "a seed from os.urandom": Fault(
        """
import os, torch
torch.manual_seed(int.from_bytes(os.urandom(4), "big"))
weights = torch.randn(4)  # here
""",
        "aten::randn",
        RANDOMNESS,
        "os.urandom() at train.py:3",
    ),
    "a seed from the process number": Fault(
        """
import os, torch
torch.manual_seed(os.getpid())
weights = torch.rand(4)  # here
""",
        "aten::rand",
        RANDOMNESS,
        "os.getpid() at train.py:3",
    ),
    "a seed from a temporary file's name": Fault(
        """
import tempfile, zlib, torch
with tempfile.TemporaryDirectory() as scratch:
    torch.manual_seed(zlib.crc32(scratch.encode()))
weights = torch.randn(4)  # here
""",
        "aten::randn",
        RANDOMNESS,
        "tempfile.TemporaryDirectory() at train.py:3",
    ),
    "a generator seeded by the clock": Fault(
        """
from time import time_ns as now
import torch
generator = torch.Generator().manual_seed(now() % 2**31)
weights = torch.randn(4, generator=generator)  # here
""",
        "aten::randn",
        RANDOMNESS,
        "time.time_ns() at train.py:4",
    ),
    "gradient noise from an unseeded generator": Fault(
        _TRAIN
        + """
def noisy(gradient):
    return gradient + torch.randn_like(gradient)  # here
model[0].weight.register_hook(noisy)
torch.seed()
loss().backward()
""",
        "aten::randn_like",
        RANDOMNESS,
        "random numbers",
        phase="backward",
        module="model.0",
    ),
    "momentum from the system's entropy": Fault(
        _TRAIN
        + """
import random
optimizer.param_groups[0]["momentum"] = random.SystemRandom().random()
for _ in range(2):
    optimizer.zero_grad()
    loss().backward()
    optimizer.step()  # here
""",
        "aten::mul_",
        RANDOMNESS,
        "random.SystemRandom()",
        phase="optimizer",
        module="model.0",
        step=1,
    ),
    "the order of a set": Fault(
        """
import torch
lengths = {"cat": 1.0, "dog": 2.0, "horse": 3.0, "mouse": 4.0, "zebra": 5.0}
classes = {"zebra", "cat", "mouse", "dog", "horse"}
weights = torch.tensor([lengths[name] for name in classes])  # here
""",
        "aten::lift_fresh",
        DATA,
        "the same ones in another order; a set at train.py:4",
    ),
    "the hash of a string": Fault(
        """
import torch
bucket = torch.ones(4) * (hash("adam") % 9973)  # here
""",
        "aten::mul",
        DATA,
        "hash() at train.py:3",
    ),
    "the address of an object": Fault(
        """
import torch
model = torch.nn.Identity()
key = torch.tensor(id(model))  # here
""",
        "aten::lift_fresh",
        DATA,
        "id() at train.py:4",
    ),
    "objects in the order of their hashes": Fault(
        """
import torch
class Layer:
    def __init__(self, name, width):
        self.name, self.width = name, width
    def __hash__(self):
        return hash(self.name)
layers = {Layer(f"layer{i}", float(i)) for i in range(16)}
widths = torch.tensor([layer.width for layer in layers])  # here
""",
        "aten::lift_fresh",
        DATA,
        "the same ones in another order",
    ),
    "the order in which a directory is listed": Fault(
        """
import os, torch
for i in range(4):
    open(f"{i}.shard", "w").close()
def listdir(path, real=os.listdir):
    turn = int(os.environ["PYTHONHASHSEED"])
    names = sorted(real(path))
    return names[turn:] + names[:turn]
os.listdir = listdir
shards = torch.tensor([int(name[0]) for name in os.listdir(".") if name.endswith(".shard")])  # here
""",
        "aten::lift_fresh",
        DATA,
        "the same ones in another order; os.listdir() at train.py:10",
    ),
    "files in the order of random names": Fault(
        """
import pathlib, tempfile, uuid, torch
with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    for number in range(16):
        (folder / uuid.uuid4().hex).write_text(str(number))
    values = [float(file.read_text()) for file in sorted(folder.iterdir())]
    batch = torch.tensor(values)  # here
""",
        "aten::lift_fresh",
        RANDOMNESS,
        "uuid.uuid4() at train.py:6",
    ),
    "a learning rate from the clock": Fault(
        _TRAIN
        + """
import time
start = time.perf_counter()
loss().backward()
optimizer.step()
optimizer.zero_grad()
loss().backward()
optimizer.param_groups[0]["lr"] = 0.1 / (1 + time.perf_counter() - start)
optimizer.step()  # here
""",
        "aten::add_",
        DATA,
        "time.perf_counter()",
        phase="optimizer",
        module="model.0",
        step=1,
    ),
    "weight decay from the date": Fault(
        _TRAIN
        + """
from datetime import datetime
optimizer.param_groups[0]["weight_decay"] = datetime.now().timestamp() % 1
loss().backward()
optimizer.step()  # here
""",
        "aten::add",
        DATA,
        "datetime.datetime.now()",
        phase="optimizer",
        module="model.0",
    ),
    "gradient clipping by the clock": Fault(
        _TRAIN
        + """
import time
loss().backward()
nn.utils.clip_grad_norm_(model.parameters(), 1e-3 * (1e4 * time.time() % 1))  # here
""",
        "aten::mul",
        DATA,
        "time.time()",
        phase="optimizer",
    ),
    "a backward pass that looks at the clock": Fault(
        _TRAIN
        + """
import time
class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()
    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 + time.time() % 1)  # here
Scaled.apply(loss()).backward()
""",
        "aten::mul",
        DATA,
        "time.time()",
        phase="backward",
    ),
    "a constant from the environment": Fault(
        """
import os, torch
scale = torch.ones(4) / float(os.environ["PYTHONHASHSEED"])  # here
""",
        "aten::div",
        DATA,
        "os.environ at train.py:3",
    ),
    "a loader's workers seeded by their process number": Fault(
        """
import os
import numpy, torch
from torch.utils.data import DataLoader, Dataset
torch.manual_seed(0)
class Noisy(Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        return torch.full((3,), numpy.random.rand())
def seed(worker):
    numpy.random.seed(os.getpid())
for batch in DataLoader(Noisy(), batch_size=2, num_workers=1, worker_init_fn=seed):
    doubled = batch * 2  # here
""",
        "aten::mul",
        DATA,
        "os.getpid() at train.py:12",
    ),
    "threads that collect samples as they come": Fault(
        _RACE
        + """
samples = []
threads = [threading.Thread(target=lambda n=n: samples.append(slow(n))) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
batch = torch.stack(samples)  # here
""",
        "aten::stack",
        DATA,
        "threading.Thread()",
    ),
    "a sum in the order in which futures complete": Fault(
        _RACE
        + """
from concurrent.futures import ThreadPoolExecutor, as_completed
total = torch.zeros(4)
with ThreadPoolExecutor(4) as pool:
    for future in as_completed([pool.submit(slow, n) for n in range(4)]):
        total += future.result()  # here
""",
        "aten::add_",
        DATA,
        "concurrent.futures.as_completed()",
    ),
    "a file that only the first run does not find": Fault(
        """
import os, torch
try:
    os.close(os.open("cache", os.O_CREAT | os.O_EXCL))
    runs = 1.0
except FileExistsError:
    runs = 2.0
scale = torch.ones(4) * runs  # here
""",
        "aten::mul",
        DATA,
        "it is given another number: other is ",  # which of the two runs is first is for the machine to say
    ),
    "a tensor changed through its NumPy array": Fault(
        """
import time, torch
weights = torch.ones(4)
weights.numpy()[0] = time.time() % 1
loss = weights.square()  # here
""",
        "aten::pow",
        DATA,
        "a tensor it takes was changed from outside torch",
    ),
    "another path in either run": Fault(
        """
import os, torch
x = torch.ones(4)
y = x.sin() if os.environ["PYTHONHASHSEED"] == "1" else x.cos()  # here
""",
        "aten::sin",
        DATA,
        "one does aten::sin where the other does aten::cos",
    ),
    "a loop that ends by the clock": Fault(
        """
import os, torch
x = torch.ones(4)
for _ in range(2 + int(os.environ["PYTHONHASHSEED"])):
    x = x + 1  # here
""",
        "aten::add",
        DATA,
        "one does aten::add where the other ended",
    ),
    "a sum that depends on the number of threads": Fault(
        """
import torch
torch.manual_seed(0)
for _ in range(8):
    total = torch.randn(1_000_003).sum()  # here
""",
        "aten::sum",
        ARITHMETIC,
        "depends on the number of threads (1 and 2)",
        threads=(1, 2),
    ),
    "a buffer from torch.empty, half of it written": Fault(
        """
import torch
buffer = torch.empty(8)
buffer[:4] = 1.0
total = buffer.sum()  # here
""",
        "aten::sum",
        ARITHMETIC,
        "uninitialised memory",
    ),
    "gradients added to torch.empty_like": Fault(
        _TRAIN
        + """
loss().backward()
sums = [torch.empty_like(p) for p in model.parameters()]
for total, p in zip(sums, model.parameters()):
    total.add_(p.grad)  # here
""",
        "aten::add_",
        ARITHMETIC,
        "uninitialised memory",
        module="model.0",
    ),
    "a parameter nobody initialised": Fault(
        """
import torch
from torch import nn
class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(3))
    def forward(self, x):
        return x * self.scale  # here
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Tanh(), Scale())
    def forward(self, x):
        return self.body(x)
net = Net()
net(torch.ones(2, 3)).sum().backward()
""",
        "aten::mul",
        ARITHMETIC,
        "uninitialised memory",
        module="net.body.1",
    ),
    "a custom operation that adds by atomics": Fault(
        """
import os, numpy, torch
@torch.library.custom_op("fault::total", mutates_args=())
def total(x: torch.Tensor) -> torch.Tensor:
    forwards = os.environ["PYTHONHASHSEED"] == "1"
    return torch.tensor(numpy.cumsum(x.numpy()[:: 1 if forwards else -1])[-1])
torch.manual_seed(0)
loss = total(torch.randn(1000))  # here
""",
        "fault::total",
        ARITHMETIC,
        "custom operation",
    ),
    "a custom backward that adds by atomics": Fault(
        """
import os, numpy, torch
from torch import nn
@torch.library.custom_op("fault::gather", mutates_args=())
def gather(x: torch.Tensor) -> torch.Tensor:
    return x.clone()
@torch.library.custom_op("fault::scatter", mutates_args=())
def scatter(x: torch.Tensor) -> torch.Tensor:
    return x * (1 + 2**-23 * float(os.environ["PYTHONHASHSEED"]))
gather.register_autograd(lambda ctx, gradient: scatter(gradient))  # here
class Gather(nn.Module):
    def forward(self, x):
        return gather(x)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 3), Gather(), nn.Tanh())
model(torch.ones(2, 4)).sum().backward()
""",
        "fault::scatter",
        ARITHMETIC,
        "custom operation",
        phase="backward",
        module="model.1",
    ),
    "a kernel whose backward adds by atomics": Fault(
        """
import os, torch
from torch import nn
def kernel(gradient, x, threshold):
    return torch.where(x > threshold, gradient * (1 + 2**-23 * float(os.environ["PYTHONHASHSEED"])), 0)
driver = torch.library.Library("aten", "IMPL")
driver.impl("threshold_backward", kernel, "CPU", allow_override=True)
torch.manual_seed(0)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 3)
        self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    def forward(self, x):
        return self.body(self.stem(x))  # here
net = Net()
net(torch.ones(2, 4)).sum().backward()
""",
        "aten::threshold_backward",
        ARITHMETIC,
        "threads add atomically",
        phase="backward",
        module="net.body.1",
    ),
}
