import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss
from torch import nn
from torch.nn import functional

from lastbit.training.catalogue import load_recipe
from lastbit.training.measures import evaluate, gradient_fluctuation, snapshot_steps
from lastbit.training.network import build_model
from lastbit.training.task import prepare


@pytest.mark.parametrize("training", [True, False])
def test_agrees_with_scikit_learn_and_leaves_the_network_as_it_was(training):
    recipe = load_recipe("demo", changes=("data.test=777",))
    task = prepare(recipe)
    model = build_model(recipe.model, shape=(1, 28, 28), classes=10, seed=0, dtype=torch.float32).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = evaluate(model, task)
    assert model.training == training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        logits = model.eval()(task.normalise(task.test_images))
    assert found.accuracy == pytest.approx(100 * accuracy_score(task.test_labels, logits.argmax(1)))
    probabilities = functional.softmax(logits.double(), 1).numpy()
    assert found.loss == pytest.approx(log_loss(task.test_labels, probabilities, labels=range(10)), rel=1e-5)
    assert torch.equal(found.predictions, logits.argmax(1))


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


def test_the_demo_keeps_weights_often_at_first_then_each_epoch():
    assert sorted(snapshot_steps(32, 9)) == [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 64, 96, 128, 160, 192, 224, 256, 288]


def test_long_runs_keep_weights_every_so_many_epochs():
    assert sorted(step for step in snapshot_steps(391, 200, 50) if step > 391) == [19550, 39100, 58650, 78200]


@given(st.integers(1, 1000), st.integers(1, 300), st.integers(1, 50))
def test_first_and_last_step_are_always_kept_and_none_beyond(steps_per_epoch, epochs, every):
    steps = snapshot_steps(steps_per_epoch, epochs, every)
    assert {1, steps_per_epoch, steps_per_epoch * epochs} <= steps
    assert min(steps) == 1
    assert max(steps) == steps_per_epoch * epochs
    assert all(step % steps_per_epoch == 0 for step in steps if step > steps_per_epoch)
