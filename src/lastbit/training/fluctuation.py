"""How much one batch's gradient differs from the mean gradient: the size of batch selection's own perturbation."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from lastbit.training.task import Task

# Batches for the measurement come from an order of their own, so that no seed of a trial meets it.
_ORDER = 2**40


def gradient_fluctuation(model: nn.Module, task: Task, *, batches: int) -> float:
    """Relative gradient fluctuation, (1/n) Σ_i |g_i − ḡ_i| / |ḡ_i| (paper, footnote 5).

    ḡ is the mean gradient of `batches` batches and g that of one batch more, of the loss without weight decay; a
    weight whose gradient is exactly 0 in all of them (a dead unit) is left out of the mean. The same batches are used
    at every call. Weights, gradients, BatchNorm's running statistics, modes and generators stay as they were.

    Args:
        model: in the mode in which it trains.
        task: gives the batches.
        batches: how many make ḡ.
    """
    gradients = [_gradient(model, images, labels) for images, labels in islice(_stream(task), batches + 1)]
    mean = torch.stack(gradients[:-1]).mean(0)
    alive = mean != 0
    return float(((gradients[-1] - mean).abs() / mean.abs())[alive].mean())


def _stream(task: Task) -> Iterator[tuple[Tensor, Tensor]]:
    return (batch for epoch in task.epochs(_ORDER) for batch in epoch)


def _gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    parameters = {name: parameter.detach().requires_grad_() for name, parameter in model.named_parameters()}
    # BatchNorm updates the buffers it is given, so it is given copies.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    loss = functional.cross_entropy(functional_call(model, parameters | buffers, (images,)), labels)
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(parameters.values()))]).double()
