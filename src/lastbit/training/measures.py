"""What a training measures along the way, and when it keeps weights. Measuring never changes the training."""

from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from lastbit.training.task import Task

# Seed of the batches for the gradient fluctuation: no trial has it.
_ORDER = 2**40


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


def gradient_fluctuation(model: nn.Module, task: Task, *, batches: int) -> float:
    """Relative gradient fluctuation, (1/n) Σ_i |g_i − ḡ_i| / |ḡ_i| (paper, footnote 5).

    ḡ is the mean gradient of `batches` batches and g the gradient of one more, of the loss without weight decay. A
    weight whose gradient is exactly 0 in all of them (a dead unit) is left out of the mean. Every call uses the same
    batches. Weights, gradients, running statistics of BatchNorm, modes and generators stay as they were.

    Args:
        model: in the mode in which it trains.
        task: gives the batches.
        batches: how many make ḡ.
    """
    gradients = [_gradient(model, images, labels) for images, labels in islice(task.batches(_ORDER), batches + 1)]
    mean = torch.stack(gradients[:-1]).mean(0)
    alive = mean != 0
    return float(((gradients[-1] - mean).abs() / mean.abs())[alive].mean())


def snapshot_steps(steps_per_epoch: int, epochs: int, every: int = 1) -> frozenset[int]:
    """Steps after which weights are kept: often at first, where differences grow by orders of magnitude.

    They are spaced by √2 within the first epoch; later ones are the ends of every `every` epochs, and the last step.

    Args:
        steps_per_epoch: updates of an epoch.
        epochs: epochs of the training.
        every: epochs from one snapshot to the next after the first epoch.
    """
    spaced, exponent = set(), 0
    while (step := round(2 ** (exponent / 2))) < steps_per_epoch:
        spaced.add(step)
        exponent += 1
    ends = {epoch * steps_per_epoch for epoch in range(every, epochs, every)}
    return frozenset(spaced | ends | {steps_per_epoch, steps_per_epoch * epochs})


def _gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    parameters = {name: parameter.detach().requires_grad_() for name, parameter in model.named_parameters()}
    # BatchNorm updates the buffers that it is given, so it is given copies.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    loss = functional.cross_entropy(functional_call(model, parameters | buffers, (images,)), labels)
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(parameters.values()))]).double()
