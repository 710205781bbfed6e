"""A network on the images of its task: on the test set, and how much gradients fluctuate from batch to batch.

Measuring never changes the training.
"""

from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from lastbit.samples import Loss
from lastbit.training.loop import Stepper
from lastbit.training.task import Task

# The seed of the batches that are measured on; a trial has it only where somebody chooses 0.
_ORDER = 0


@dataclass(frozen=True)
class NetworkEvaluation:
    """A network on the test set."""

    accuracy: float  # percent
    loss: float  # mean cross-entropy
    predictions: Tensor  # int64 (examples,), on the CPU
    logits: Tensor  # (examples, classes), on the CPU


@torch.no_grad()
def evaluate(model: nn.Module, task: Task) -> NetworkEvaluation:
    """Evaluate a network in eval mode on the test images, then put it back into the mode it was in."""
    training = model.training
    model.eval()
    logits = torch.cat([model(images) for images, _ in task.test_batches()])
    model.train(training)
    predictions = logits.argmax(1)
    return NetworkEvaluation(
        accuracy=100 * float((predictions == task.test_labels).double().mean()),
        loss=float(functional.cross_entropy(logits.double(), task.test_labels)),
        predictions=predictions.cpu(),
        logits=logits.cpu(),
    )


def evaluate_trained(stepper: Stepper, task: Task) -> NetworkEvaluation:
    """Evaluate a network in training as it is to be used: with averaged weights, where the recipe averages them.

    Args:
        stepper: of the training.
        task: its data; the statistics of batch norm for averaged weights are of its training images.
    """
    with stepper.evaluated(next(task.epochs(_ORDER))) as model:
        return evaluate(model, task)


def gradient_fluctuation(model: nn.Module, task: Task, *, batches: int, loss: Loss = functional.cross_entropy) -> float:
    """Relative gradient fluctuation, (1/n) Σ_i |g_i − ḡ_i| / |ḡ_i| (paper, footnote 5).

    ḡ is the mean gradient of `batches` batches and g the gradient of one more, of the loss without weight decay. A
    weight whose gradient is exactly 0 in all of them (a dead unit) is left out of the mean. Every call uses the same
    batches. Weights, gradients, running statistics of BatchNorm, modes and random generators are unchanged.

    Args:
        model: in the mode in which it trains.
        task: gives the batches.
        batches: how many make ḡ.
        loss: that is trained, of outputs and labels.
    """
    gradients = [_gradient(model, loss, images, labels) for images, labels in islice(task.batches(_ORDER), batches + 1)]
    mean = torch.stack(gradients[:-1]).mean(0)
    alive = mean != 0
    return float(((gradients[-1] - mean).abs() / mean.abs())[alive].mean())


def _gradient(model: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> Tensor:
    parameters = {name: parameter.detach().requires_grad_() for name, parameter in model.named_parameters()}
    # BatchNorm updates the buffers that it is given, so it is given copies.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    value = loss(functional_call(model, parameters | buffers, (images,)), labels)
    gradients = torch.autograd.grad(value, list(parameters.values()))
    return torch.cat([gradient.flatten() for gradient in gradients]).double()
