"""What is checked on a CUDA device, and skipped where there is none."""

import os

import pytest
import torch

# Before the first product on the device, whose library reads it once.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture(autouse=True)
def _cuda():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is here")
