import pytest
import torch
from torch import nn

from lastbit.training.catalogue import load_recipe
from lastbit.training.measures import gradient_fluctuation
from lastbit.training.network import build_model
from lastbit.training.task import prepare


@pytest.fixture(scope="module")
def task():
    return prepare(load_recipe("demo", changes=("data.train=500", "batch_size=50")))


class Linear(nn.Module):
    """Softmax regression, whose gradient is known: mean of (p − onehot) xᵀ."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10, bias=False)

    def forward(self, images):
        return self.layer(images.flatten(1))


def test_is_footnote_5_for_a_gradient_known_in_closed_form(task):
    model = Linear()
    epochs = task.epochs(2**40)
    batches = [batch for _ in range(1) for batch in next(epochs)][:5]
    gradients = []
    for images, labels in batches:
        x = images.flatten(1).double()
        p = torch.softmax(x @ model.layer.weight.detach().double().T, 1)
        p[torch.arange(len(labels)), labels] -= 1
        gradients.append(p.T @ x / len(labels))
    mean = sum(gradients[:4]) / 4
    expected = ((gradients[4] - mean).abs() / mean.abs()).mean()
    assert gradient_fluctuation(model, task, batches=4) == pytest.approx(float(expected), rel=1e-2)


def test_changes_nothing(task):
    model = build_model(load_recipe("demo").model, shape=(1, 28, 28), classes=10, seed=0, dtype=torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    first = gradient_fluctuation(model, task, batches=3)
    assert gradient_fluctuation(model, task, batches=3) == first > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training


def test_leaves_out_weights_without_a_gradient(task):
    model = Linear()
    masked = task.train_images.clone()
    masked[:, :, :, :14] = 0
    half = type(task)(**{**vars(task), "train_images": masked, "mean": torch.zeros(1, 1, 1)})
    assert gradient_fluctuation(model, half, batches=3) < float("inf")
