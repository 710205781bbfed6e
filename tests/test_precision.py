"""What measurements of curvature set, and put back. That it works is tested on CUDA devices."""

import json

import pytest
import torch

from lastbit.curvature import HessianOperator, SharpnessTracker
from lastbit.precision import exact_products


@pytest.fixture(autouse=True)
def _settings_put_back():
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, torch.get_float32_matmul_precision()
    yield
    torch.backends.cuda.matmul.fp32_precision = "none"
    for operation in (cudnn.conv, cudnn.rnn):
        operation.fp32_precision = "tf32"
    cudnn.allow_tf32 = True
    cudnn.deterministic, cudnn.benchmark = before[:2]
    torch.set_float32_matmul_precision(before[2])


def state():
    cudnn = torch.backends.cudnn
    precisions = [each.fp32_precision for each in (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)]
    return cudnn.deterministic, cudnn.benchmark, *precisions


@pytest.mark.parametrize("matmul", ["highest", "high", "medium"])
@pytest.mark.parametrize("tf32", [True, False])
def test_settings_of_the_old_kind(tf32, matmul):
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision(matmul)
    before = state()
    with exact_products():
        assert state()[:2] == (True, False)
        assert not {"tf32", "bf16"} & set(state()[2:])
        assert torch.get_float32_matmul_precision() == "highest"
    assert state() == before
    assert torch.get_float32_matmul_precision() == matmul
    assert torch.backends.cudnn.allow_tf32 is tf32


def test_settings_of_the_new_kind():
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    before = state()
    with exact_products():
        assert not {"tf32", "bf16"} & set(state()[2:])
    assert state() == before


def test_measurements_use_it(tmp_path):
    """Every forward and backward pass of an operator and a tracker sees exact products."""
    kept = tmp_path / "seen.txt"  # what a forward pass leaves in objects is put back after each measurement

    class Looks(torch.nn.Linear):
        def forward(self, inputs):
            with kept.open("a") as file:
                file.write(json.dumps(state()) + "\n")
            return super().forward(inputs).tanh()

    model, data = Looks(3, 2), (torch.randn(5, 3), torch.randn(5, 2))
    operator = HessianOperator(model, torch.nn.functional.mse_loss, data)
    operator @ torch.ones(operator.shape[0])
    SharpnessTracker(model, torch.nn.functional.mse_loss, data).measure()
    seen = [json.loads(line) for line in kept.read_text().splitlines()]
    assert len(seen) > 2
    assert all(each[:2] == [True, False] and not {"tf32", "bf16"} & set(each[2:]) for each in seen)
