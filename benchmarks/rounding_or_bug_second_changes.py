"""The changes of the second set of `rounding_or_bug.py`, whose programs and verdicts do not know of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from rounding_or_bug_changes import Change, threads, without_onednn
from rounding_or_bug_second_programs import IMAGE, LANGUAGE, Switches

# In torch 2.13 and before, fused SGD on a CPU leaves most weights in bfloat16 as they are: pytorch/pytorch#191763.
TORCH_FAULT = f"{IMAGE}, weights"
_ALONE = {IMAGE: (IMAGE,), LANGUAGE: (LANGUAGE,), "both": (IMAGE, LANGUAGE)}
HALF = {
    f"{network}, {precision}": Switches(network=network, precision=precision)
    for precision in ("autocast", "weights")
    for network in (IMAGE, LANGUAGE)
}
NETWORKS = {network: Switches(network=network) for network in (IMAGE, LANGUAGE)} | HALF


@contextmanager
def deterministic() -> Iterator[None]:
    """With deterministic algorithms only."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def flushed() -> Iterator[None]:
    """With the smallest numbers rounded to zero."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def three_threads_without_onednn() -> Iterator[None]:
    """Several of them at once."""
    with without_onednn(3), deterministic():
        yield


def change(
    switch: str,
    networks: str = "both",
    words: tuple[str, ...] = (),
    *,
    half: bool = False,
    without: tuple[str, ...] = (),
    base: str = "",
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    compiled: str = "",
) -> Change:
    """A change by a switch, or several with spaces between.

    Args:
        switch: is also what its lines are marked with.
        networks: image, language or both.
        words: any of which names it.
        half: whether it is asked in half precision too.
        without: these networks.
        base: switches that are on in both runs.
        around: a context of the changed run.
        compiled: by this backend.
    """
    both = frozenset(base.split())
    chosen = _ALONE[networks]
    if half:
        chosen += tuple(name for name in HALF if name.split(",")[0] in chosen and name not in without)
    on = {"on": both | set(switch.split())} if around is nullcontext and not compiled else {}
    return Change(
        switch, {**on, **({"compiled": compiled} if compiled else {})}, words, tuple(switch.split()), chosen,
        base={"on": both}, around=around,
    )  # fmt: skip


_OWN, _STILL = "own-optimizer", "undropped"
BUGS = [
    change("gradients-half-more", half=True),
    change("clipped-by-value", half=True),
    change("unshuffled", half=True, words=("data",)),
    change("stale-gradients", half=True),
    change("softmax-twice", half=True),
    change("rate-doubled", half=True, words=("lr ",)),
    change("all-decayed", words=("weight_decay",)),
    change("schedule-by-epoch", words=("lr ",)),
    change("integer-division", words=("lr ",), half=True),
    change("schedule-ahead", words=("lr ",)),
    change("norms-forgotten", words=("norm",)),
    change("evaluated-in-training", words=("training",), half=True),
    change("residual-by-root-2", half=True),
    change("hard-swish", half=True),
    change("quick-gelu"),
    change("clipped-by-largest"),
    change("clipped-each"),
    change("optimizer-made-anew"),
    # of images
    change("pictures-in-bgr", IMAGE, ("data",), half=True),
    change("mean-in-bgr", IMAGE),
    change("mean-in-half", IMAGE),
    change("levels-256", IMAGE, ("255 against 256",)),
    change("labels-from-one", IMAGE, half=True),
    change("class-weights-missing", IMAGE, ("weight",), half=True),
    change("class-weights-rolled", IMAGE),
    change("weighted-plain-mean", IMAGE, ("reduction",)),
    change("mirrored-upside-down", IMAGE, ("dims [3] against [2]",)),
    change("workers-seeded-alike", IMAGE, ("seed",)),
    change("test-picture", IMAGE, ("data",)),
    change("last-batch-dropped", IMAGE, ("against 32 x", "20 x")),
    change("no-nesterov", IMAGE, ("nesterov",)),
    change("dampening", IMAGE, ("dampening", "nesterov")),
    change("weights-not-averaged", IMAGE),
    change("average-slower", IMAGE, ("0.1 against 0.01",)),
    change("padded-before", IMAGE, ("pad [0, 1, 0, 1] against [1, 0, 1, 0]",)),
    change("gate-detached", IMAGE, half=True),
    change("gate-hard", IMAGE),
    change("gate-of-largest", IMAGE),
    change("gain-of-linear", IMAGE),
    change("residual-before-norm", IMAGE),
    change("dropout-of-channels", IMAGE),
    change("checkpointed", IMAGE),  # updates the statistics of batch normalisation twice
    Change("fused", {"on": frozenset({"fused"})}, ("fused",), ("optimizer-made-anew",), (TORCH_FAULT,)),
    # of language
    change("untied", LANGUAGE, ("model.head",), half=True),
    change("embedding-unscaled", LANGUAGE, half=True),
    change("rotary-base", LANGUAGE),
    change("rotary-interleaved", LANGUAGE, half=True),
    change("tables-in-half", LANGUAGE, ("bfloat16",)),
    change("keys-unturned", LANGUAGE),
    change("scale-missing", LANGUAGE, ("scale 0.35355339059327373 against 1",), half=True),
    change("scale-of-width", LANGUAGE, ("scale 0.35355339059327373 against 0.17",)),
    change("attention-undropped", LANGUAGE, ("dropout_p 0.1 against",)),
    change("mask-one-ahead", LANGUAGE, ("diagonal",), half=True),
    change("padding-counted", LANGUAGE, ("value -100 against 0",)),
    change("mean-of-means", LANGUAGE, ("reduction",)),
    change("targets-shifted-twice", LANGUAGE, half=True),
    change("mean-subtracted", LANGUAGE),
    change("eps-outside-root", LANGUAGE),
    change("one-plus-weight", LANGUAGE, half=True),
    change("gate-and-up-swapped", LANGUAGE),
    change("gate-detached", LANGUAGE, half=True),
    change("heads-tiled", LANGUAGE),
    change("deep-unscaled", LANGUAGE),
    change("last-norm-missing", LANGUAGE),
    change("batch-repeated", LANGUAGE, ("data",)),
    change("clipped-in-parts", LANGUAGE),
    change("no-bias-correction", LANGUAGE, base=_OWN),
    change("betas-swapped", LANGUAGE, base=_OWN),
    change("eps-inside-root", LANGUAGE, base=_OWN),
    change("decay-without-rate", LANGUAGE, base=_OWN),
    change("amsgrad", LANGUAGE, ("amsgrad",)),
    change("nadam", LANGUAGE, ("AdamW against NAdam",)),
]
ROUNDINGS = [
    change("three threads", around=lambda: threads(3), half=True),
    change("deterministic algorithms", around=deterministic, half=True),
    change("denormals flushed", around=flushed),
    change("three threads, no oneDNN, deterministic", around=three_threads_without_onednn, half=True),
    change("activation compiled", compiled="inductor", base=_STILL),
    change("activation compiled, same operations", compiled="aot_eager", base=_STILL, half=True),
    change("own-optimizer"),
    change("for-loop clipped-in-double", half=True),
    change("fused", half=True, without=(TORCH_FAULT,)),
    change("foreach zeros-kept", half=True),
    change("rate-as-tensor"),
    change("schedule-by-half-angle", half=True),
    change("clipped-in-double"),
    change("clipped-in-place", half=True),
    change("gradients-by-hand", half=True),
    change("silu-by-sigmoid", half=True),
    change("silu-by-exp"),
    change("silu-by-tanh"),
    change("loss-by-softmax"),
    change("dropped-by-hand"),
    change("residual-in-place", half=True),
    # of images
    change("silu-in-place", IMAGE),
    change("convolution-by-inputs", IMAGE),
    change("convolution-by-outputs", IMAGE),
    change("convolution-by-pictures", IMAGE, half=True),
    change("convolution-in-double", IMAGE),
    change("depth-by-shifts", IMAGE),
    change("point-by-matmul", IMAGE),
    change("point-by-linear", IMAGE, half=True),
    change("gate-by-convolution", IMAGE, half=True),
    change("norm-by-var-mean", IMAGE),
    change("pooled-adaptively", IMAGE),
    change("pooled-by-rows", IMAGE),
    change("pooled-in-double", IMAGE),
    change("head-by-products", IMAGE),
    change("head-by-bmm", IMAGE),
    change("loss-by-one-hot", IMAGE),
    change("normalised-in-double", IMAGE),
    change("normalised-at-once", IMAGE),
    change("normalised-by-reciprocal", IMAGE),
    change("average-by-products", IMAGE),
    change("weights-channels-last", IMAGE, half=True),
    change("channels-last weights-channels-last", IMAGE, half=True),
    change("strided", IMAGE, half=True),
    # of language
    change("checkpointed", LANGUAGE, half=True),
    change("queries-keys-values-fused", LANGUAGE, half=True),
    change("gate-and-up-fused", LANGUAGE, half=True),
    change("down-by-halves", LANGUAGE),
    change("norm-by-torch", LANGUAGE, half=True),
    change("norm-by-norm", LANGUAGE),
    change("norm-by-root", LANGUAGE),
    change("norm-in-double", LANGUAGE),
    change("rotary-complex", LANGUAGE),
    change("rotary-by-halves", LANGUAGE, half=True),
    change("tables-in-double", LANGUAGE),
    change("positions-from-7", LANGUAGE),
    change("attention-by-einsum", LANGUAGE, half=True),
    change("softmax-by-logs", LANGUAGE),
    change("softmax-by-exp", LANGUAGE),
    change("attention-by-heads", LANGUAGE, base=_STILL),
    change("attention-by-queries", LANGUAGE, base=_STILL, half=True),
    change("mask-added", LANGUAGE),
    change("words-by-one-hot", LANGUAGE),
    change("said-in-chunks", LANGUAGE),
    change("said-by-einsum", LANGUAGE),
    change("said-transposed", LANGUAGE, half=True),
    change("loss-in-chunks", LANGUAGE),
    change("loss-by-mask", LANGUAGE),
    change("parts-reversed", LANGUAGE, base=_STILL, half=True),
    change("padded-to-longest", LANGUAGE, base=_STILL),
]
