"""Loaders under the audit: which batch differs, and how.

PYTHONHASHSEED, 1 in one run and 2 in the other, plants faults. In what must be said, LOADER and CAUSE stand for the
lines that end in `# loader` and `# cause`.
"""

import pytest

_DATA = """
import os, random, time
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler
torch.manual_seed(0)
other_run = os.environ.get("PYTHONHASHSEED") == "2"
class Data(Dataset):
    def __len__(self):
        return 12
    def __getitem__(self, i):
        return torch.full((3,), float(i)), i % 2
"""
_USE = """
for images, labels in loader:
    (images * 2).sum()
"""
FAULTS = {
    "a worker that augments by time": (
        """
class Augmented(Data):
    def __getitem__(self, i):
        image, label = super().__getitem__(i)
        if i == 5:
            image += time.time_ns() % 1000003 + os.getpid() / 2**20  # cause
        return image, label
loader = DataLoader(Augmented(), batch_size=2, num_workers=2)  # loader
""",
        "data",
        "batch 2 (epoch 0) of the loader at LOADER holds the same samples, and sample 5 has other contents, made by"
        " worker 0; time.time_ns() at CAUSE reads the clock",
    ),
    "a sampler that shuffles from an unseeded generator": (
        """
class Shuffled(Sampler):
    def __iter__(self):
        return iter(np.random.default_rng().permutation(12).tolist())  # cause
    def __len__(self):
        return 12
loader = DataLoader(Data(), batch_size=6, sampler=Shuffled())
started = time.time()
""",
        "randomness",
        "other samples; numpy.random.default_rng() at CAUSE draws from the system's entropy",
    ),
    "a sampler that shuffles by Python's generator, with workers": (
        """
order = list(range(12))
random.shuffle(order)
loader = DataLoader(Data(), batch_size=12, sampler=order, num_workers=1)
""",
        "randomness",
        "the same samples in another order; Python's random was drawn from",
    ),
    "one sample in another place": (
        """
batches = [[0, 1, 2, 3], [7, 6, 5, 4] if other_run else [6, 7, 5, 4]]
loader = DataLoader(Data(), batch_sampler=batches)  # loader
""",
        "data",
        "batch 1 (epoch 0) of the loader at LOADER holds samples 6, 7, 5, 4 in one run and 7, 6, 5, 4 in the other:"
        " the same samples in another order",
    ),
    "batches that arrive as workers finish them": (
        """
class Slow(Data):
    def __getitem__(self, i):
        time.sleep(0.4 * (i % 2 == other_run))
        return super().__getitem__(i)
loader = DataLoader(Slow(), batch_size=1, num_workers=2, in_order=False)  # loader
""",
        "data",
        "the batches arrive in another order: batch 1 (epoch 0) of the loader at LOADER comes where the other run gets"
        " batch 0",
    ),
    "an iterable data set": (
        """
class Stream(IterableDataset):
    def __iter__(self):
        for i in range(4):
            yield torch.full((3,), float(i) + (i == 3) * other_run), i
loader = DataLoader(Stream(), batch_size=2, num_workers=1)  # loader
""",
        "data",
        "batch 1 (epoch 0) of the loader at LOADER differs: the sample at place 1 has other contents, made by worker 0",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_how_the_data_differ_is_said(audited, name):
    source, kind, cause = FAULTS[name]
    found = audited(_DATA + source + _USE)
    for number, line in enumerate((_DATA + source).splitlines(), 1):
        for mark in ("loader", "cause"):
            cause = cause.replace(mark.upper(), f"train.py:{number}") if line.endswith(f"# {mark}") else cause
    assert found.first_difference.kind == kind, found.first_difference
    assert cause in found.first_difference.cause
    assert not found.unobserved


@pytest.mark.parametrize(
    "loader",
    [
        "DataLoader(Noisy(), batch_size=5, shuffle=True, num_workers=2, persistent_workers=True, pin_memory=True)",
        "DataLoader(Data(), 4, True, collate_fn=lambda rows: (torch.stack([x for x, _ in rows]), len(rows)))",
        "DataLoader(Data(), batch_size=None, sampler=[[1, 2][0], 3])",
        "DataLoader({'a': (torch.ones(2), 'x'), 'b': (torch.ones(2), 'y')}, sampler=['b', 'a'], batch_size=2)",
    ],
)
def test_a_watched_loader_does_what_it_does_alone(audited, alone, tmp_path, loader):
    source = f"""{_DATA}
class Noisy(Data):
    def __getitem__(self, i):
        return super().__getitem__(i)[0] + torch.rand(3) + random.random(), i
loader = {loader}
for epoch in range(2):
    for images, labels in loader:
        print((images * 2).tolist(), labels)
print(torch.rand(1), random.random(), np.random.rand())
"""
    source = source.replace("torch.manual_seed(0)", "torch.manual_seed(0); random.seed(0); np.random.seed(0)")
    found = audited(source)
    assert found.first_difference is None
    assert not found.unobserved
    assert alone() == (0, (tmp_path / "record" / "a" / "output.txt").read_text())


def test_a_batch_that_differs_and_is_not_used_is_no_difference(audited):
    source = (
        f"{_DATA}\nloader = DataLoader([np.full(3, other_run)] * 4, num_workers=1)\nlist(loader)\ntorch.ones(3) + 1\n"
    )
    assert audited(source).deterministic
