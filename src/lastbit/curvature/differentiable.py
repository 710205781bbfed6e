"""What stands in the way of a second derivative, said in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lastbit.errors import LastbitError

SIGNS = ("inplace operation", "in-place operation", "not implemented", "once_differentiable")


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Keep to operations that have a second derivative, and turn torch's complaints about others into one line.

    Of the kernels of scaled dot-product attention the plain one alone has a second derivative.

    Raises:
        LastbitError: an in-place operation broke the graph, or an operation has no second derivative.
    """
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        if any(sign in reason for sign in SIGNS):
            raise LastbitError(f"the loss cannot be differentiated twice: {reason}") from error
        raise


def refuse_once_differentiable(slopes: Sequence[Tensor]) -> None:
    """Refuse slopes whose graph ends in a function marked once differentiable.

    Torch marks it by a node that raises when it is run. A product never runs that node, for no weight lies beyond it,
    and would silently lack its part of the curvature.

    Raises:
        LastbitError: there is such a node.
    """
    seen, waiting = set(), [slope.grad_fn for slope in slopes]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name() == "torch::autograd::Error":
            raise LastbitError(
                "the loss cannot be differentiated twice: it calls a function marked @once_differentiable"
            )
        seen.add(node)
        waiting.extend(following for following, _ in node.next_functions)
