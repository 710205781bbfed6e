"""The optimizers whose edge of stability is known, and what is known of others."""

from __future__ import annotations

import torch

from lastbit.errors import LastbitTypeError
from lastbit.steps import Optimizer, why_another_step, without_wrapper

# The most special first: AdamW is a subclass of Adam.
_KINDS: tuple[type[Optimizer], ...] = (torch.optim.AdamW, torch.optim.Adam, torch.optim.RMSprop, torch.optim.SGD)
_ALLOWED = "allowed are torch.optim's SGD, Adam, AdamW and RMSprop"
_SIGNS = "its step is as long for a small gradient as for a large one, so that it keeps oscillating and has no edge"
_KNOWN = {
    "Adadelta": "it divides by averages of its own updates too, and no formula for its edge is known here",
    "Adagrad": "its divisor grows with every step, so that its edge is never at rest",
    "LBFGS": "each step's direction and length come from a search of their own, so that no edge is fixed",
    "Lion": _SIGNS,
    "Muon": _SIGNS,
    "NAdam": "its momentum follows a schedule, so that its edge moves; Adam's formula does not hold",
    "RAdam": "its first steps are rectified and its edge moves; Adam's formula does not hold",
    "Rprop": _SIGNS,
    "SAM": "it takes the gradient at other weights, and its edge lies below that of the optimizer inside",
    "SignSGD": _SIGNS,
}


def innermost(optimizer: object) -> Optimizer:
    """The optimizer itself, out of the wrappers that Accelerate and Lightning put around one.

    Raises:
        LastbitTypeError: it is no optimizer.
    """
    inner = without_wrapper(optimizer)
    if isinstance(inner, Optimizer):
        return inner
    if isinstance(getattr(inner, "optimizer", None), Optimizer):
        raise LastbitTypeError(
            f"optimizer is a {type(inner).__name__}, which wraps another and may step in its own way; if it steps as "
            "the one inside does, give that one"
        )
    raise LastbitTypeError(f"optimizer is a {type(inner).__name__}; give a torch.optim.Optimizer")


def supported(optimizer: object) -> tuple[Optimizer, type[Optimizer]]:
    """The optimizer itself, and the class of torch's whose step it takes.

    Raises:
        LastbitTypeError: its edge is not known, for its step is none of these.
    """
    inner = innermost(optimizer)
    for kind in _KINDS:
        if isinstance(inner, kind):
            reason = why_another_step(inner, kind)
            if reason is None:
                return inner, kind
            raise LastbitTypeError(
                f"optimizer is a {reason}, so that its edge is not known; {_ALLOWED}, with their own step; what only "
                "watches goes into register_step_pre_hook or register_step_post_hook"
            )
    name = type(inner).__name__
    known = f" ({name}: {_KNOWN[name]})" if name in _KNOWN else ""
    raise LastbitTypeError(f"optimizer is a {name}; {_ALLOWED}{known}")
