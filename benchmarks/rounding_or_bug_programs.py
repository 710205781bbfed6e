"""The two networks of `rounding_or_bug.py`, trained by one loop that is full of switches.

A switch for a change that is another computation is a setting; so is one for a change that only rounds, unless it is a
context around the run. A comment `# @ NAME` marks the line at which a change of this name takes effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

IMAGE, LANGUAGE = "image", "language"


@dataclass(frozen=True)
class Settings:
    """All that can be changed."""

    network: str = IMAGE
    dropout: float = 0.1
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    decay: float = 0.01
    coupled: bool = False
    warm_up: int = 4
    clip: float | None = 0.5
    clipping: str = "torch"
    reduction: str = "mean"
    parts: int = 1  # of a batch, accumulated
    averaged: bool = True  # over the parts
    period: int = 1  # batches accumulated for an update
    frozen: str = ""
    init_seed: int = 0
    init_scale: float = 1.0
    data_seed: int = 1
    augment_seed: int = 2
    smoothing: float = 0.1
    evaluating: bool = False
    norm_momentum: float = 0.1
    norm_eps: float = 1e-5
    norm: str = "batch"  # of the image network
    padding: str = "zeros"
    causal: bool = True
    activation: str = "gelu"
    activation_by: str = "torch"
    scaled_by: float = 1.0  # the loss
    unscaled_by: float = 1.0
    zeroing: bool = True
    bias: bool = True
    residual: bool = True
    temperature: float = 1.0
    pooling: str = "max"
    shift: int = 1
    left_out: int = 0  # samples of each batch
    loss_by: str = "torch"
    linear_by: str = "torch"
    attention_by: str = "torch"
    norm_by: str = "torch"
    kernels: Mapping[str, Any] = field(default=(), hash=True)  # type: ignore[assignment]
    optimizer_by: str = "torch"
    layout: str = "contiguous"
    positions: bool = True
    pad_value: float = 0.0
    order: str = "given"  # of the samples in each batch
    compiled: str = ""  # by this backend of torch.compile
    processes: int = 1  # that divide each batch
    reduced_by: str = "ddp"  # gradients of several processes
    processes_averaged: bool = True  # where they are reduced by hand
    clipped_on: str = "all"  # processes, or the first

    def train(self, steps: int) -> None:
        """Train with them."""
        train(self, steps)


class Linear(nn.Linear):
    """A layer that can be computed in several ways."""

    by = "torch"

    def forward(self, x: Tensor) -> Tensor:
        """The same in exact arithmetic."""
        if self.by == "matmul":
            return x @ self.weight.t() + self.bias
        if self.by == "transposed":
            # In plain memory order: dropout draws its mask in the order of memory, so another order is another mask.
            y = (self.weight @ x.reshape(-1, x.shape[-1]).t()).t().contiguous()
            return y.reshape(*x.shape[:-1], -1) + self.bias
        if self.by == "einsum":
            return torch.einsum("...i,oi->...o", x, self.weight) + self.bias
        if self.by == "halves":
            half = x.shape[-1] // 2
            return x[..., :half] @ self.weight[:, :half].t() + (x[..., half:] @ self.weight[:, half:].t() + self.bias)
        return functional.linear(x, self.weight, self.bias)


def activated(x: Tensor, s: Settings) -> Tensor:
    """Apply the activation."""
    if s.activation == "relu":
        return functional.relu(x)  # @ activation
    if s.activation == "gelu-tanh":
        return functional.gelu(x, approximate="tanh")  # @ activation
    if s.activation_by == "erf":
        return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    return functional.gelu(x)  # @ activation


def normalised(x: Tensor, norm: nn.LayerNorm, s: Settings) -> Tensor:
    """Layer normalisation."""
    if s.norm_by == "hand":
        mean, square = x.mean(-1, keepdim=True), (x * x).mean(-1, keepdim=True)
        return (x - mean) * torch.rsqrt(square - mean * mean + norm.eps) * norm.weight + norm.bias
    return norm(x)


class Convolutions(nn.Module):
    """A small residual network of convolutions."""

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.s = s
        self.first = nn.Conv2d(3, 16, 3, padding=1, padding_mode=s.padding)
        self.norm1 = self._norm(s)
        self.second = nn.Conv2d(16, 16, 3, padding=1, bias=s.bias)  # @ bias
        self.norm2 = self._norm(s)
        self.drop = nn.Dropout(s.dropout)
        self.head = Linear(16 * 16, 10)

    def _norm(self, s: Settings) -> nn.Module:
        if s.norm == "group":
            return nn.GroupNorm(4, 16, eps=s.norm_eps)
        return nn.BatchNorm2d(16, momentum=s.norm_momentum, eps=s.norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        s = self.s
        x = activated(self._normed(self.norm1, self.first(x)), s)  # @ padding norm_eps momentum
        y = self._normed(self.norm2, self._convolved(x))  # @ bias norm_eps momentum
        x = activated(x + y if s.residual else y, s)  # @ residual
        if s.pooling == "max":
            x = functional.max_pool2d(x, 2)  # @ pooling
        elif s.pooling == "average":
            x = functional.avg_pool2d(x, 2)  # @ pooling
        x = self.drop(x.flatten(1))  # @ dropout eval
        return self.head(x) / s.temperature  # @ temperature

    def _convolved(self, x: Tensor) -> Tensor:
        if self.s.linear_by != "unfold":
            return self.second(x)  # @ bias
        columns = functional.unfold(x, 3, padding=1)
        flat = self.second.weight.flatten(1) @ columns
        return flat.view(x.shape) + self.second.bias.view(1, -1, 1, 1)

    def _normed(self, norm: nn.Module, x: Tensor) -> Tensor:
        if self.s.norm_by != "hand" or not isinstance(norm, nn.BatchNorm2d):
            return norm(x)  # @ eval momentum norm_eps padding
        mean = x.mean((0, 2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
        shape = (1, -1, 1, 1)
        return (x - mean) / (variance + norm.eps).sqrt() * norm.weight.view(shape) + norm.bias.view(shape)


class Block(nn.Module):
    """A block of a transformer."""

    def __init__(self, s: Settings, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.s, self.heads = s, heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=s.norm_eps) for _ in range(2))
        self.query_key_value = Linear(width, 3 * width)
        self.out = Linear(width, width, bias=True)
        self.up, self.down = Linear(width, 4 * width), Linear(4 * width, width)
        self.drop = nn.Dropout(s.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The next hidden states."""
        s = self.s
        y = self.drop(self.out(self._attended(normalised(x, self.norm1, s))))  # @ dropout norm_eps eval
        x = x + y if s.residual else y  # @ residual
        hidden = activated(self.up(normalised(x, self.norm2, s)), s)  # @ norm_eps
        return x + self.drop(self.down(hidden))  # @ dropout eval

    def _attended(self, x: Tensor) -> Tensor:
        s, (batch, length, width) = self.s, x.shape
        parts = self.query_key_value(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        scale = 1 / (math.sqrt(width // self.heads) * s.temperature)
        if s.attention_by == "torch":
            y = functional.scaled_dot_product_attention(
                query, key, value, is_causal=s.causal, scale=scale
            )  # @ causal temperature
        else:
            weights = query @ key.transpose(-2, -1) * scale
            if s.attention_by == "scaled-first":
                weights = (query * scale) @ key.transpose(-2, -1)
            elif s.attention_by == "einsum":
                weights = torch.einsum("bhqd,bhkd->bhqk", query, key) * scale
            mask = torch.ones(length, length, dtype=torch.bool).tril()
            weights = weights.masked_fill(~mask, float("-inf")) if s.causal else weights
            y = weights.softmax(-1) @ value
        return y.transpose(1, 2).reshape(batch, length, width)


class Transformer(nn.Module):
    """A small language model."""

    def __init__(self, s: Settings, words: int = 50, width: int = 32, length: int = 16) -> None:
        super().__init__()
        self.s = s
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList([Block(s) for _ in range(2)])
        self.norm = nn.LayerNorm(width, eps=s.norm_eps)
        self.head = Linear(width, words, bias=s.bias)  # @ bias

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next words."""
        x = self.words(tokens)
        if self.s.positions:
            x = x + self.places.weight[: tokens.shape[1]]  # @ positions
        for block in self.blocks:
            x = block(x)
        return self.head(normalised(x, self.norm, self.s)).flatten(0, 1)  # @ bias norm_eps


def built(s: Settings) -> nn.Module:
    """The network at its initial weights."""
    torch.manual_seed(0)
    model = Convolutions(s) if s.network == IMAGE else Transformer(s)
    for module in model.modules():
        if isinstance(module, Linear):
            module.by = s.linear_by
    with torch.no_grad():
        if s.init_seed or s.init_scale != 1:
            weight = model.head.weight
            fresh = torch.randn(weight.shape, generator=torch.Generator().manual_seed(s.init_seed)) * 0.05  # @ init
            weight.copy_(fresh if s.init_seed else weight * s.init_scale)  # @ init
    if s.frozen:
        for parameter in getattr(model, s.frozen).parameters():
            parameter.requires_grad_(False)
    model.train(not s.evaluating)
    return model.to(memory_format=torch.channels_last) if s.layout == "channels_last" else model


def batches(s: Settings) -> Iterable[tuple[Tensor, Tensor]]:
    """Batches of made-up data that can be learnt."""
    data, augment = torch.Generator().manual_seed(s.data_seed), torch.Generator().manual_seed(s.augment_seed)
    while True:
        if s.network == IMAGE:
            images, labels = (
                torch.randn(32, 3, 8, 8, generator=data),
                torch.randint(10, (32,), generator=data),
            )  # @ data
            images[:, 0] += labels.view(-1, 1, 1) * 0.1
            rows = torch.randint(-1, 2, (2,), generator=augment).tolist()
            images = images.roll(rows, (2, 3))  # @ augment
            batch = images, labels
        else:
            tokens = torch.randint(50, (8, 17), generator=data)  # @ data
            tokens[:, 1::2] = (tokens[:, 0:-1:2] * 3 + 1) % 50
            dropped = torch.rand(8, 17, generator=augment) < 0.05
            batch = tokens.masked_fill(dropped, 0)[:, :16], tokens[:, s.shift : s.shift + 16]  # @ augment shift
        if s.left_out:
            batch = batch[0][s.left_out :], batch[1][s.left_out :]  # @ left_out
        if s.order == "reversed":
            batch = batch[0].flip(0), batch[1].flip(0)
        if s.layout == "channels_last" and s.network == IMAGE:
            batch = batch[0].contiguous(memory_format=torch.channels_last), batch[1]
        yield batch


def loss_of(logits: Tensor, targets: Tensor, s: Settings) -> Tensor:
    """Cross-entropy."""
    targets = targets.reshape(-1)
    if targets.shape[0] > logits.shape[0]:
        targets = targets[: logits.shape[0]]
    if s.loss_by == "torch":
        return functional.cross_entropy(logits, targets, label_smoothing=s.smoothing, reduction=s.reduction)  # @ loss
    logs = logits.log_softmax(1)
    if s.loss_by == "logsumexp":
        logs = logits - logits.logsumexp(1, keepdim=True)
    right, spread = -logs.gather(1, targets[:, None]).squeeze(1), -logs.mean(1)
    each = (1 - s.smoothing) * right + s.smoothing * spread
    return each.double().mean().float() if s.loss_by == "double" else each.sum() / len(each)


def optimizer_of(model: nn.Module, s: Settings) -> torch.optim.Optimizer:
    """Adam, coupled or not."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    kind = torch.optim.Adam if s.coupled else torch.optim.AdamW
    return kind(weights, lr=s.lr, betas=s.betas, eps=s.eps, weight_decay=s.decay, **dict(s.kernels))


def clip(weights: list[Tensor], s: Settings) -> None:
    """Clip the norm of all gradients."""
    if s.clip is None:
        return
    if s.clipping == "hand":
        grads = [weight.grad for weight in weights if weight.grad is not None]
        norm = torch.cat([grad.flatten() for grad in grads]).norm()
        factor = torch.clamp(s.clip / (norm + 1e-6), max=1.0)
        for grad in grads:
            grad.mul_(factor)
        return
    nn.utils.clip_grad_norm_(weights, s.clip, foreach=s.clipping == "foreach")  # @ clipping


def forward_of(model: nn.Module, s: Settings) -> Callable[[Tensor], Tensor]:
    """The network as it is called."""
    if s.compiled:
        return torch.compile(model, backend=s.compiled)
    if s.processes > 1 and s.reduced_by == "ddp":
        return nn.parallel.DistributedDataParallel(model)
    return model


def reduce(weights: list[Tensor], s: Settings) -> None:
    """Put the gradients of all processes together, where nothing has done so."""
    if s.processes > 1 and s.reduced_by == "hand":
        for weight in weights:
            distributed.all_reduce(weight.grad)
            if s.processes_averaged:
                weight.grad.div_(s.processes)  # @ processes


def train(s: Settings, steps: int) -> None:
    """Train a network with these settings; with several processes in each of them, on its part of every batch."""
    model = built(s)
    forward, optimizer = forward_of(model, s), optimizer_of(model, s)
    weights = list(model.parameters())
    rank = distributed.get_rank() if s.processes > 1 else 0
    torch.manual_seed(3)
    source = iter(batches(s))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = s.lr * min(1.0, (step + 1) / s.warm_up) if s.warm_up else s.lr
        if s.zeroing:
            optimizer.zero_grad()  # @ zeroing
        for _ in range(s.period):
            inputs, targets = (part.chunk(s.processes)[rank] for part in next(source))
            size = -(-len(inputs) // s.parts)
            for x, y in zip(inputs.split(size), targets.split(size), strict=True):
                loss = loss_of(forward(x), y, s)
                loss = loss / s.parts if s.averaged and s.parts > 1 else loss  # @ averaged
                if s.scaled_by != 1:
                    loss = loss * s.scaled_by  # @ scale
                loss.backward()  # @ backward
        if s.unscaled_by != 1:
            for weight in weights:
                if weight.grad is not None:
                    weight.grad.div_(s.unscaled_by)  # @ scale
        reduce(weights, s)
        if s.clipped_on == "all" or rank == 0:
            clip(weights, s)  # @ clip
        optimizer.step()


NETWORKS = {IMAGE: Settings(network=IMAGE), LANGUAGE: Settings(network=LANGUAGE)}
