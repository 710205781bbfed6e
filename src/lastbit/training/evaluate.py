"""Accuracy, loss and predictions on the test set."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lastbit.training.task import Task


@dataclass(frozen=True)
class Evaluation:
    """What a network does on a test set."""

    accuracy: float  # percent
    loss: float  # mean cross-entropy
    predictions: Tensor  # int64 (examples,), on the CPU
    logits: Tensor  # (examples, classes), on the CPU


@torch.no_grad()
def evaluate(model: nn.Module, task: Task) -> Evaluation:
    """Evaluate in eval mode on the test images and return to the mode the network was in."""
    training = model.training
    model.eval()
    logits = torch.cat([model(images) for images, _ in task.test_batches()])
    model.train(training)
    predictions = logits.argmax(1)
    return Evaluation(
        accuracy=100 * float((predictions == task.test_labels).double().mean()),
        loss=float(functional.cross_entropy(logits.double(), task.test_labels)),
        predictions=predictions.cpu(),
        logits=logits.cpu(),
    )
