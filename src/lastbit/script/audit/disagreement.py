"""What to make of two runs that disagree about an operation's results."""

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from lastbit.script.audit.call import Call
from lastbit.script.audit.exchange import Exchange
from lastbit.script.audit.memory import Memory
from lastbit.script.audit.plain import bits, is_plain, outline
from lastbit.script.audit.poison import untouched
from lastbit.script.audit.trials import left_out

# PART: the runs part. UNWRITTEN: they differ only where the operation wrote nothing. DEPENDS: the operation took what
# nobody had written.
PART, UNWRITTEN, DEPENDS = 0, 1, 2

_Pairs = Sequence[tuple[Tensor, Tensor]]


class Disagreements:
    """Tells a difference of the runs from one in what nobody wrote.

    Args:
        exchange: the line to the other run.
        memory: of this run.
        fill: what fresh memory is filled with here: 0, 1 or ALIKE.
    """

    def __init__(self, exchange: Exchange, memory: Memory, fill: int) -> None:
        self._exchange, self._memory, self._fill = exchange, memory, fill

    def judge(self, call: Call, compared: Sequence[Tensor]) -> tuple[int, list[Tensor]]:
        """Give a verdict on results whose bits or shapes differ, and those of them that differ."""
        if not all(is_plain(tensor) for tensor in compared):
            return PART, []
        pairs = self._exchange.swap(_topic(call, compared), compared)
        if pairs is None:
            return PART, []
        masks = [bits(mine) != bits(theirs) for mine, theirs in pairs]
        differing = [tensor for tensor, mask in zip(compared, masks, strict=True) if mask.any()]
        return self._exchange.settle(self._verdict(call, pairs, masks)), differing

    def _verdict(self, call: Call, pairs: _Pairs, masks: Sequence[Tensor]) -> int:
        if call.operation.moves and self._are_untouched(pairs, masks):
            return UNWRITTEN
        if call.repeatable and _are_left_out(call, masks):
            return UNWRITTEN
        return DEPENDS if call.reads_unwritten(self._memory) else PART

    def _are_untouched(self, pairs: _Pairs, masks: Sequence[Tensor]) -> bool:
        """Whether they differ only where either holds what fresh memory was filled with."""
        return all(
            bool(untouched(mine.flatten(), theirs.flatten(), self._fill)[mask].all())
            for (mine, theirs), mask in zip(pairs, masks, strict=True)
        )


def _are_left_out(call: Call, masks: Sequence[Tensor]) -> bool:
    """Whether only parts of side results differ, and those that the operation does not write."""
    if len(masks) < 2 or masks[0].any():
        return False
    unwritten = left_out(call.func, call.args, call.kwargs)
    scratch = call.operation.scratch
    compared = [each for place, each in enumerate(unwritten) if place not in scratch]
    pairs = zip(masks, compared, strict=True)
    return all(not mask.any() or (left is not None and bool(left[mask].all())) for mask, left in pairs)


def _topic(call: Call, compared: Sequence[Tensor]) -> int:
    """Stands for the operation, the shapes and types of its results, and the random numbers drawn so far."""
    drawn = torch.get_rng_state().numpy().tobytes() if call.operation.random else b""
    about = [(outline(tensor), str(tensor.dtype)) for tensor in compared]
    return zlib.crc32(drawn, zlib.crc32(repr((call.operation.code, about)).encode()))
