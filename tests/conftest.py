"""One thread for every test process: pytest-xdist fills the cores, and more threads only wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from hypothesis import settings

torch.set_num_threads(1)
# Machines that run tests are shared: an example's duration says nothing.
settings.register_profile("lastbit", deadline=None)
settings.load_profile("lastbit")
