"""The language network of the second set of `rounding_or_bug.py`: a transformer with many switches.

It has rotary positions, heads of keys and values that two heads of queries share, gated layers, and one matrix for
reading and saying words.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from rounding_or_bug_second_images import On, silu

WIDTH, HEADS, SHARED, WORDS = 32, 4, 2, 40  # heads of keys and values are shared by two of queries
_EACH = WIDTH // HEADS


class RootMeanSquare(nn.Module):
    """Normalisation by the root of the mean of squares."""

    def __init__(self, on: On) -> None:
        super().__init__()
        self.on, self.weight = on, nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Give x / sqrt(mean(x^2) + 1e-5), times a weight; computed in float32."""
        on, kind, weight = self.on, x.dtype, self.weight
        x = x.double() if "norm-in-double" in on else x.float()
        if "one-plus-weight" in on:
            weight = 1 + weight  # @ one-plus-weight
        if "mean-subtracted" in on:
            x = x - x.mean(-1, keepdim=True)  # @ mean-subtracted
        if "norm-by-torch" in on:
            return functional.rms_norm(x, (WIDTH,), weight.to(x.dtype), 1e-5).to(kind)
        if "norm-by-norm" in on:
            x = x / (x.norm(dim=-1, keepdim=True) ** 2 / WIDTH + 1e-5).sqrt()
        elif "eps-outside-root" in on:
            x = x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 1e-5)  # @ eps-outside-root
        elif "norm-by-root" in on:
            x = x / ((x * x).sum(-1, keepdim=True) / WIDTH + 1e-5).sqrt()
        else:
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)  # @ eps-outside-root mean-subtracted
        return (x * weight).to(kind)  # @ one-plus-weight


def tables(length: int, on: On) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the positions."""
    kind = torch.float64 if "tables-in-double" in on else torch.float32
    if "tables-in-half" in on:
        kind = torch.bfloat16  # @ tables-in-half
    base = 100.0 if "rotary-base" in on else 10000.0
    rates = base ** -(torch.arange(0, _EACH, 2).to(kind) / _EACH)  # @ rotary-base tables-in-half
    angles = (torch.arange(length) + 7 * ("positions-from-7" in on)).to(kind)[
        :, None
    ] * rates  # @ rotary-base tables-in-half
    return angles.cos().float(), angles.sin().float()


def turned(x: Tensor, on: On) -> Tensor:
    """Rotary positions."""
    cos, sin = (part.to(x.dtype) for part in tables(x.shape[-2], on))  # @ tables-in-half rotary-base
    if "rotary-interleaved" in on:
        a, b = x[..., ::2], x[..., 1::2]  # @ rotary-interleaved
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)  # @ rotary-interleaved
    a, b = x.chunk(2, -1)  # @ rotary-interleaved
    if "rotary-complex" in on:
        y = torch.complex(a.contiguous(), b.contiguous()) * torch.complex(cos, sin)
        return torch.cat([y.real, y.imag], -1)
    if "rotary-by-halves" in on:
        return x * torch.cat([cos, cos], -1) + torch.cat([-b, a], -1) * torch.cat([sin, sin], -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)  # @ rotary-base tables-in-half rotary-interleaved


class Block(nn.Module):
    """A block of the transformer."""

    def __init__(self, on: On, activated: Callable[..., Tensor]) -> None:
        super().__init__()
        self.on, self.activated = on, activated
        self.norm1, self.norm2 = RootMeanSquare(on), RootMeanSquare(on)
        self.query, self.key, self.value = (nn.Linear(WIDTH, n * _EACH, bias=False) for n in (HEADS, SHARED, SHARED))
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate, self.up, self.down = (nn.Linear(*n, bias=False) for n in ((WIDTH, 64), (WIDTH, 64), (64, WIDTH)))
        self.dropped = 0.0 if "undropped" in on else 0.1
        if "deep-unscaled" not in on:
            with torch.no_grad():
                self.out.weight.mul_(0.5)  # @ deep-unscaled

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """The next hidden states."""
        y = self._drop(self.out(self._attended(self.norm1(x), seen)))  # @ deep-unscaled
        x = y.add_(x) if "residual-in-place" in self.on else x + y
        if "residual-by-root-2" in self.on:
            x = x / math.sqrt(2)  # @ residual-by-root-2
        y = self._drop(self._fed(self.norm2(x)))  # @ residual-by-root-2
        return x + y

    def _drop(self, x: Tensor) -> Tensor:
        if "dropped-by-hand" in self.on and self.training:
            return x * torch.empty_like(x).bernoulli_(1 - self.dropped) / (1 - self.dropped)
        return functional.dropout(x, self.dropped, self.training)

    def _fed(self, x: Tensor) -> Tensor:
        on = self.on
        if "gate-and-up-fused" in on:
            gate, up = functional.linear(x, torch.cat([self.gate.weight, self.up.weight])).chunk(2, -1)
        else:
            gate, up = self.gate(x), self.up(x)  # @ gate-and-up-swapped gate-detached
        if "gate-and-up-swapped" in on:
            gate, up = up, gate
        if "gate-detached" in on:
            gate = gate.detach()  # @ gate-detached
        inner = self.activated(gate, on) * up  # @ gate-and-up-swapped gate-detached
        if "down-by-halves" in on:
            return sum(a @ b.t() for a, b in zip(inner.chunk(2, -1), self.down.weight.chunk(2, 1), strict=True))  # type: ignore[return-value]
        return self.down(inner)

    def _attended(self, x: Tensor, seen: Tensor) -> Tensor:
        on, (batch, length, _) = self.on, x.shape
        if "queries-keys-values-fused" in on:
            fused = functional.linear(x, torch.cat([self.query.weight, self.key.weight, self.value.weight]))
            parts = fused.split([WIDTH, SHARED * _EACH, SHARED * _EACH], -1)
        else:
            parts = self.query(x), self.key(x), self.value(x)
        query, key, value = (part.view(batch, length, -1, _EACH).transpose(1, 2) for part in parts)
        query, key = turned(query, on), key if "keys-unturned" in on else turned(key, on)  # @ keys-unturned
        if "heads-tiled" in on:
            key, value = key.repeat(1, 2, 1, 1), value.repeat(1, 2, 1, 1)  # @ heads-tiled
        else:
            key, value = key.repeat_interleave(2, 1), value.repeat_interleave(2, 1)  # @ heads-tiled
        return self.out_of(query, key, value, seen).transpose(1, 2).reshape(batch, length, WIDTH)

    def out_of(self, query: Tensor, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
        """Attention, in several ways."""
        on, scale = self.on, 1 / math.sqrt(_EACH)
        if "scale-missing" in on:
            scale = 1.0  # @ scale-missing
        if "scale-of-width" in on:
            scale = 1 / math.sqrt(WIDTH)  # @ scale-of-width
        dropped = 0.0 if "attention-undropped" in on or not self.training else self.dropped
        if "attention-by-heads" in on:
            heads = zip(query.unbind(1), key.unbind(1), value.unbind(1), strict=True)
            return torch.stack(
                [_softmax((q @ k.mT * scale).masked_fill(~seen[:, 0], -1e9), on) @ v for q, k, v in heads], 1
            )
        if "attention-by-queries" in on:
            masks = zip(query.split(4, 2), seen.split(4, 2), strict=True)
            return torch.cat([(q @ key.mT * scale).masked_fill(~m, -1e9).softmax(-1) @ value for q, m in masks], 2)
        if on & {"attention-by-einsum", "softmax-by-logs", "softmax-by-exp"}:
            scores = torch.einsum("bhqd,bhkd->bhqk", query * scale, key).masked_fill(~seen, -1e9)
            return torch.einsum("bhqk,bhkd->bhqd", functional.dropout(_softmax(scores, on), dropped), value)
        mask = torch.zeros(seen.shape).masked_fill(~seen, float("-inf")).to(query.dtype) if "mask-added" in on else seen
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropped, scale=scale
        )  # @ scale-missing scale-of-width attention-undropped


def _softmax(scores: Tensor, on: On) -> Tensor:
    if "softmax-by-logs" in on:
        return scores.log_softmax(-1).exp()
    if "softmax-by-exp" in on:
        shares = scores.exp()
        return shares / shares.sum(-1, keepdim=True)
    return scores.softmax(-1)


class Words(nn.Module):
    """A small language model."""

    def __init__(self, on: On, compiled: str) -> None:
        super().__init__()
        self.on = on
        activated = torch.compile(silu, backend=compiled) if compiled else silu
        self.words = nn.Embedding(WORDS, WIDTH)
        with torch.no_grad():
            self.words.weight.mul_(0.02)
        self.blocks = nn.ModuleList([Block(on, activated) for _ in range(2)])
        self.norm = RootMeanSquare(on)
        if "untied" in on:
            self.head = nn.Parameter(self.words.weight.detach().clone())

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next words."""
        on = self.on
        weight = self.words.weight
        if "words-by-one-hot" in on:
            x = functional.one_hot(tokens, WORDS).to(weight.dtype) @ weight
        else:
            x = self.words(tokens)  # @ untied
        if "embedding-unscaled" not in on:
            x = x * math.sqrt(WIDTH)  # @ embedding-unscaled
        x = functional.dropout(x, 0.0 if "undropped" in on else 0.1, self.training)
        length = tokens.shape[1]
        ahead = 1 if "mask-one-ahead" in on else 0
        seen = torch.ones(length, length, dtype=torch.bool).tril(ahead)[None, None]  # @ mask-one-ahead
        seen = seen & (tokens != 0)[:, None, None, :]  # @ mask-one-ahead
        for block in self.blocks:
            x = (
                checkpoint(block, x, seen, use_reentrant=False)
                if "checkpointed" in on and self.training
                else block(x, seen)
            )
        if "last-norm-missing" not in on:
            x = self.norm(x)  # @ last-norm-missing
        return self._said(x.flatten(0, 1))

    def _said(self, x: Tensor) -> Tensor:
        on, weight = self.on, self.head if "untied" in self.on else self.words.weight
        if "said-in-chunks" in on:
            return torch.cat([x @ part.t() for part in weight.split(16)], 1)
        if "said-by-einsum" in on:
            return torch.einsum("ni,oi->no", x, weight)
        if "said-transposed" in on:
            return (weight @ x.t()).t()
        return functional.linear(x, weight)  # @ untied last-norm-missing
