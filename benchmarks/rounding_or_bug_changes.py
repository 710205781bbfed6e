"""The changes of `rounding_or_bug.py`: those that are other computations, and those that only round otherwise."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rounding_or_bug_programs import IMAGE, LANGUAGE


@dataclass(frozen=True)
class Change:
    """A change of a run."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()  # any of which names it, in what differs
    marks: tuple[str, ...] = ()  # of lines at which it takes effect, which name it too
    networks: tuple[str, ...] = (IMAGE, LANGUAGE)
    base: Mapping[str, Any] = field(default_factory=dict)  # settings of both runs
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    environment: Mapping[str, str] = field(default_factory=dict)  # variables of a process of its own


def lines_of(marks: tuple[str, ...], files: Sequence[Path]) -> list[str]:
    """The lines of these files with one of these marks, as `rounding_or_bug_programs.py:12`.

    A mark is that of all lines of its statement.
    """
    found = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        statements = [
            node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt) and not hasattr(node, "body")
        ]
        for number, line in enumerate(text.splitlines(), 1):
            if set(line.partition("# @ ")[2].split()) & set(marks):
                spans = [range(node.lineno, (node.end_lineno or 0) + 1) for node in statements]
                span = min((span for span in spans if number in span), key=len, default=[number])
                found += [f"{path.name}:{each}" for each in span]
    return found


@contextmanager
def threads(number: int) -> Iterator[None]:
    """With another number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def without_onednn(number: int = 1) -> Iterator[None]:
    """Without the kernels of oneDNN, and with a number of threads."""
    with torch.backends.mkldnn.flags(enabled=False), threads(number):
        yield


def attention(*backends: Any) -> Callable[[], AbstractContextManager[Any]]:
    """With other kernels of attention."""
    return lambda: torch.nn.attention.sdpa_kernel(list(backends))


MATH = torch.nn.attention.SDPBackend.MATH
_PLAIN = {"dropout": 0.0}
_GROUPS = {"dropout": 0.0, "norm": "group"}
_TWO = {**_GROUPS, "processes": 2}
BUGS = [
    Change("dropout 0.2", {"dropout": 0.2}, ("p 0.1 against 0.2",)),
    Change("eps of Adam", {"eps": 1e-6}, ("eps 1e-08 against 1e-06",)),
    Change("beta2", {"betas": (0.9, 0.99)}, ("betas [0.9, 0.999] against [0.9, 0.99]",)),
    Change("beta1", {"betas": (0.8, 0.999)}, ("betas [0.9, 0.999] against [0.8, 0.999]",)),
    Change(
        "weight decay coupled", {"coupled": True}, ("AdamW against Adam", "decoupled_weight_decay True against False")
    ),
    Change("weight decay 0.1", {"decay": 0.1}, ("weight_decay 0.01 against 0.1",)),
    Change("learning rate 10 % up", {"lr": 1.1e-3}, ("lr 0.00025 against 0.000275",)),
    Change("warm-up off by one", {"warm_up": 5}, ("lr 0.00025 against 0.0002",)),
    Change("no clipping", {"clip": None}, (), ("clip", "clipping")),
    Change("clipping at 1", {"clip": 1.0}, ("0.5 against 1.0",)),
    Change("clipping on one process only", {"clipped_on": "first"}, (), ("clip", "clipping"), base=_TWO),
    Change("sum of losses", {"reduction": "sum"}, ("reduction",), ("loss",)),
    Change("gradients summed over parts", {"averaged": False}, (), ("averaged",), base={"parts": 2}),
    Change(
        "gradients summed over processes",
        {"processes_averaged": False},
        (),
        ("processes",),
        base={**_TWO, "reduced_by": "hand"},
    ),
    Change("accumulation off by one", {"period": 2}, ("1 backward pass against 2",)),
    Change("a layer frozen", {"frozen": "head"}, ("gradients of model.head", "model.head.weight is updated")),
    Change("another first tensor", {"init_seed": 5}, (), ("init",)),
    Change("initial weights 1 % larger", {"init_scale": 1.01}, (), ("init",)),
    Change("another seed of augmentation", {"augment_seed": 9}, ("seed 2 against seed 9",)),
    Change("no label smoothing", {"smoothing": 0.0}, ("smoothing",), ("loss",)),
    Change("eval mode", {"evaluating": True}, ("training True against False",), ("eval",)),
    Change("momentum of batch norm", {"norm_momentum": 0.3}, ("momentum 0.1 against 0.3",), (), (IMAGE,)),
    Change("eps of normalisation", {"norm_eps": 1e-3}, ("eps 1e-05 against 0.001",)),
    Change("padding mode", {"padding": "circular"}, (), ("padding",), (IMAGE,)),
    Change("no causal mask", {"causal": False}, ("is_causal True against",), (), (LANGUAGE,)),
    Change("relu for gelu", {"activation": "relu"}, (), ("activation",)),
    Change("tanh's gelu", {"activation": "gelu-tanh"}, ("approximate none against tanh",)),
    Change(
        "tanh's gelu, compiled", {"activation": "gelu-tanh", "compiled": "inductor"}, (), ("activation",), base=_PLAIN
    ),
    Change("stale scale", {"scaled_by": 8.0, "unscaled_by": 4.0}, (), ("scale",)),
    Change("gradients not zeroed", {"zeroing": False}, (), ("zeroing", "backward")),
    Change("other data", {"data_seed": 8}, ("seed 1 against seed 8",)),
    Change("a bias less", {"bias": False}, (), ("bias",)),
    Change("no residual", {"residual": False}, (), ("residual",)),
    Change("another temperature", {"temperature": 1.05}, ("scale 0.35355339059327373 against",), ("temperature",)),
    Change("average pooling", {"pooling": "average"}, (), ("pooling",), (IMAGE,)),
    Change("targets shifted by none", {"shift": 0}, (), ("shift",), (LANGUAGE,)),
    Change("no positions", {"positions": False}, (), ("positions",), (LANGUAGE,)),
    Change("a sample less", {"left_out": 1}, ("against 31 x", "against 7 x"), ("left_out",)),
]
ROUNDINGS = [
    Change("two threads", around=lambda: threads(2)),
    Change("for-loop optimizer", {"kernels": (("foreach", False),)}),
    Change("foreach optimizer", {"kernels": (("foreach", True),)}),
    Change("fused optimizer", {"kernels": (("fused", True),)}),
    Change("clipping foreach", {"clipping": "foreach"}),
    Change("clipping by hand", {"clipping": "hand"}),
    Change("channels last", {"layout": "channels_last"}, networks=(IMAGE,)),
    Change("no oneDNN", around=without_onednn),
    Change("kernels for any processor", environment={"ATEN_CPU_CAPABILITY": "default"}),
    Change("kernels for AVX2", environment={"ATEN_CPU_CAPABILITY": "avx2"}),
    Change("compiled by inductor", {"compiled": "inductor"}, base=_PLAIN),
    Change("compiled by aot_eager", {"compiled": "aot_eager"}, base=_PLAIN),
    Change("batch in another order", {"order": "reversed"}, base=_PLAIN),
    Change("batch in 2 parts", {"parts": 2}, base=_GROUPS),
    Change("batch in 4 parts", {"parts": 4}, base=_GROUPS),
    Change("batch in 8 parts", {"parts": 8}, base=_GROUPS),
    Change("2 processes", {"processes": 2}, base=_GROUPS),
    Change("2 processes reduced by hand", {"reduced_by": "hand"}, base=_TWO),
    Change("loss as a sum over n", {"loss_by": "sum"}),
    Change("loss by logsumexp", {"loss_by": "logsumexp"}),
    Change("loss in double precision", {"loss_by": "double"}),
    Change("linear by matmul", {"linear_by": "matmul"}),
    Change("linear transposed", {"linear_by": "transposed"}),
    Change("linear by einsum", {"linear_by": "einsum"}),
    Change("linear in two halves", {"linear_by": "halves"}),
    Change("convolution unfolded", {"linear_by": "unfold"}, networks=(IMAGE,)),
    Change("normalisation by hand", {"norm_by": "hand"}),
    Change("gelu by erf", {"activation_by": "erf"}),
    Change("attention by math", around=attention(MATH), networks=(LANGUAGE,)),
    Change("attention by hand", {"attention_by": "hand"}, networks=(LANGUAGE,)),
    Change("attention scaled first", {"attention_by": "scaled-first"}, networks=(LANGUAGE,)),
    Change("attention by einsum", {"attention_by": "einsum"}, networks=(LANGUAGE,)),
    Change("loss scaled by 1024", {"scaled_by": 1024.0, "unscaled_by": 1024.0}),
    Change("loss scaled by 3", {"scaled_by": 3.0, "unscaled_by": 3.0}),
    Change("loss scaled by 0.1", {"scaled_by": 0.1, "unscaled_by": 0.1}),
    Change("two threads, fused", {"kernels": (("fused", True),)}, around=lambda: threads(2)),
    Change("hand-made norm, loss and clipping", {"norm_by": "hand", "loss_by": "sum", "clipping": "hand"}),
    Change("order and parts", {"order": "reversed", "parts": 2}, base=_GROUPS),
    Change("no oneDNN, two threads", around=lambda: without_onednn(2)),
    Change("linear in halves, loss in double", {"linear_by": "halves", "loss_by": "double"}),
]
