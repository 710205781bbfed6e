import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss
from torch.nn import functional

from lastbit.training.catalogue import load_recipe
from lastbit.training.measures import evaluate
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
