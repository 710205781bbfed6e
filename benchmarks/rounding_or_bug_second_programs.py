"""What the two programs of the second set of `rounding_or_bug.py` share: settings, data, schedule, loop and evaluation.

It was written after the verdict and without sight of how it works, from faults that public threads report. A change is
a switch that is on or off; `# @ NAME` marks the lines at which the switch of this name takes effect.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from rounding_or_bug_second_data import Part, pictures, pictures_of_test, texts, texts_of_test
from rounding_or_bug_second_images import Images
from rounding_or_bug_second_optimizers import averaged, clip, optimizer_of
from rounding_or_bug_second_words import Words

IMAGE, LANGUAGE = "image", "language"
LIMIT = {IMAGE: 0.42, LANGUAGE: 0.5}  # of the norm of gradients, which is above it in some steps or in all
EPOCH, TOTAL = 3, 12  # steps of an epoch, and of the schedule


@dataclass(frozen=True)
class Switches:
    """Which program, in which precision, with which switches on."""

    network: str
    precision: str = "float32"  # or autocast, or weights: to bfloat16
    on: frozenset[str] = frozenset()
    compiled: str = ""  # the activation, by this backend
    processes: int = 1

    def train(self, steps: int) -> nn.Module:
        """Train it for some optimizer steps."""
        return train(self, steps)


def train(s: Switches, steps: int) -> nn.Module:
    """Train a network with these switches; after each epoch it is evaluated, images with averaged weights."""
    torch.manual_seed(0)
    model: nn.Module = (Images if s.network == IMAGE else Words)(s.on, s.compiled)
    if s.precision == "weights":
        model = model.to(torch.bfloat16)
    optimizer = optimizer_of(model, s.on, images=s.network == IMAGE)
    averages = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    kind = torch.bfloat16 if s.precision == "weights" else torch.float32
    if s.network == IMAGE:
        source, test = pictures(s.on, kind), pictures_of_test(s.on, kind)
    else:
        source, test = texts(s.on), texts_of_test(s.on)
    torch.manual_seed(3)
    for step in range(steps):
        for group in optimizer.param_groups:
            rate = group["first_lr"] * factor(step, s.on)  # @ schedule-by-epoch integer-division schedule-ahead
            group["lr"] = torch.tensor(rate) if "rate-as-tensor" in s.on else rate
        if "optimizer-made-anew" in s.on and step == EPOCH:
            optimizer.state.clear()  # @ optimizer-made-anew
        if "stale-gradients" not in s.on or step != 2:
            optimizer.zero_grad(set_to_none="zeros-kept" not in s.on)  # @ stale-gradients
        descend(model, next(source), s)
        clip(list(model.parameters()), LIMIT[s.network], s.on)
        optimizer.step()  # @ optimizer-made-anew
        averaged(averages, model, s.on)
        if (step + 1) % EPOCH == 0:
            evaluate(model, averages, test, s)
    return model


def descend(model: nn.Module, parts: list[Part], s: Switches) -> None:
    """Gradients of a batch, which comes in parts."""
    tokens = sum(int((targets >= 0).sum()) for _, targets in parts)  # @ padding-counted
    if "parts-reversed" in s.on:
        parts = parts[::-1]
    for number, (inputs, targets) in enumerate(parts):
        with autocast(s):
            logits = model(inputs)
        loss = image_loss(logits, targets, s.on) if s.network == IMAGE else word_loss(logits, targets, tokens, s.on)
        if "gradients-half-more" in s.on and number == 0:
            loss = loss * 1.5  # @ gradients-half-more
        if "gradients-by-hand" in s.on:
            weights = list(model.parameters())
            for weight, grad in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight.grad = grad if weight.grad is None else weight.grad + grad
        else:
            loss.backward()  # @ stale-gradients gradients-half-more
        if "clipped-in-parts" in s.on:
            clip(list(model.parameters()), LIMIT[s.network], s.on)  # @ clipped-in-parts


def autocast(s: Switches) -> AbstractContextManager[object]:
    """The precision of the forward pass."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if s.precision == "autocast" else nullcontext()


def factor(step: int, on: frozenset[str]) -> float:
    """Of the learning rate, which follows half a cosine."""
    progress = step / TOTAL
    if "schedule-by-epoch" in on:
        progress = step // EPOCH / TOTAL
    if "integer-division" in on:
        progress = step // TOTAL
    if "schedule-ahead" in on:
        progress = (step + 1) / TOTAL
    if "schedule-by-half-angle" in on:
        return math.cos(math.pi * progress / 2) ** 2
    return 0.5 * (1 + math.cos(math.pi * progress))


def evaluate(model: nn.Module, averages: dict[str, Tensor], test: Part, s: Switches) -> None:
    """The loss on the test set, of images with averaged weights."""
    if "evaluated-in-training" not in s.on:
        model.eval()  # @ evaluated-in-training
    with torch.no_grad(), autocast(s):
        if s.network == IMAGE and "weights-not-averaged" not in s.on:
            logits = functional_call(model, averages, (test[0],))  # @ weights-not-averaged average-slower
        else:
            logits = model(test[0])  # @ weights-not-averaged
        functional.cross_entropy(logits.float(), test[1].reshape(-1))
    model.train()


def image_loss(logits: Tensor, targets: Tensor, on: frozenset[str]) -> Tensor:
    """Cross-entropy with weights of the classes."""
    weights = torch.linspace(0.5, 1.5, 10)
    logits = logits.float()
    if "class-weights-missing" in on:
        return functional.cross_entropy(logits, targets)  # @ class-weights-missing
    if "class-weights-rolled" in on:
        weights = weights.roll(1)  # @ class-weights-rolled
    if "softmax-twice" in on:
        logits = logits.softmax(1)  # @ softmax-twice
    if "weighted-plain-mean" in on:
        return functional.cross_entropy(
            logits, targets, weight=weights, reduction="none"
        ).mean()  # @ weighted-plain-mean
    if "loss-by-softmax" in on:
        return functional.nll_loss(logits.softmax(1).log(), targets, weight=weights)
    if "loss-by-one-hot" in on:
        shares = functional.one_hot(targets, 10) * weights
        return -(shares * logits.log_softmax(1)).sum() / shares.sum()
    return functional.cross_entropy(
        logits, targets, weight=weights
    )  # @ class-weights-missing class-weights-rolled softmax-twice weighted-plain-mean labels-from-one


def word_loss(logits: Tensor, targets: Tensor, tokens: int, on: frozenset[str]) -> Tensor:
    """Cross-entropy of all words of a batch that are not padding."""
    logits, targets = logits.float(), targets.reshape(-1)
    if "softmax-twice" in on:
        logits = logits.softmax(1)  # @ softmax-twice
    if "mean-of-means" in on:
        return functional.cross_entropy(logits, targets, ignore_index=-100) / 2  # @ mean-of-means
    if "loss-in-chunks" in on:
        pairs = zip(logits.split(20), targets.split(20), strict=True)
        return (
            torch.stack([functional.cross_entropy(x, y, reduction="sum", ignore_index=-100) for x, y in pairs]).sum()
            / tokens
        )
    if "loss-by-mask" in on:
        each = functional.cross_entropy(logits, targets.clamp(min=0), reduction="none")
        return (each * (targets >= 0) / tokens).sum()
    if "loss-by-softmax" in on:
        return functional.nll_loss(logits.softmax(1).log(), targets, reduction="sum", ignore_index=-100) / tokens
    return (
        functional.cross_entropy(logits, targets, reduction="sum", ignore_index=-100) / tokens
    )  # @ softmax-twice mean-of-means padding-counted targets-shifted-twice
