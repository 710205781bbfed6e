"""Records a program whose every operation rounds otherwise: some units in the last place are put on all its results."""

from collections.abc import Callable
from typing import Any

import torch

from lastbit.noise.one_ulp import OneUlpMoves
from lastbit.noise.seeded import stream
from lastbit.optimizers.rounded import rounded_results
from lastbit.optimizers.weights import has_last_place, real
from lastbit.script.audit.operation import OperationCall
from lastbit.script.trace.recorder import Noted, TraceMode
from lastbit.script.trace.writer import TraceWriter

ULPS = 16  # the most by which a result of single or double precision is moved: what kernels of other sums come to
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # integers, by the bytes of a number
_WHOLE = 2**20  # whole numbers up to here are taken for counts, indices and powers of two, which nothing rounds


class NoisyTraceMode(TraceMode):  # type: ignore[no-untyped-call]
    """Moves the results of all operations that round by some units in the last place, and records what comes of it.

    Results of single and double precision move by -16 to 16 units, all equally likely: so much do kernels differ that
    add up in another order, and so often do maxima and signs flip. Those of half precision, which kernels add up in
    single precision and round once, move by one unit.

    Unlike `lb.Operations`, which disturbs the training of an optimizer's weights, it spares nothing: updates,
    evaluation and the preparation of data round too. Whole numbers stay, for a count or an index that was moved is no
    rounding. Numbers below the smallest normal one, as squares of gradients in float16, move by one unit.

    Args:
        writer: of the trace.
        recorded: called after each record.
        seed: of the noise.
    """

    def __init__(self, writer: TraceWriter, recorded: Callable[[], None] = lambda: None, *, seed: int) -> None:
        super().__init__(writer, recorded)
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}
        self._one_ulp: dict[torch.device, OneUlpMoves] = {}

    def after(self, call: OperationCall, noted: Noted | None, result: Any) -> None:
        """Move what it gave, then record it."""
        if call.graph is None and call.operation.ours:
            with torch.no_grad():
                for tensor in rounded_results(call.func, call.args, call.kwargs, result):
                    if has_last_place(tensor):
                        self._move(real(tensor))
        super().after(call, noted, result)

    def _move(self, values: torch.Tensor) -> None:
        device = values.device
        if device not in self._generators:
            self._generators[device] = stream(self._seed, 0, device=device)
            self._one_ulp[device] = OneUlpMoves(1.0, self._generators[device])
        generator = self._generators[device]
        whole = (values == values.trunc()) & (values.abs() <= _WHOLE)
        moved = values.clone()
        if values.dtype.itemsize < 4:
            self._one_ulp[device].move(moved)
        else:
            bits = moved.view(_BITS[values.dtype.itemsize])
            # Adjacent numbers of one sign have adjacent bits.
            bits += torch.randint(-ULPS, ULPS + 1, bits.shape, generator=generator, device=device, dtype=bits.dtype)
        info = torch.finfo(values.dtype)
        stays = whole | ~_is_normal(values, info) | ~_is_normal(moved, info) | (values.sign() != moved.sign())
        small = (values != 0) & (values.abs() < info.smallest_normal)
        values.copy_(torch.where(stays, values, moved))
        if bool(small.any()):
            bits = values.view(_BITS[values.dtype.itemsize])
            units = torch.randint(-1, 2, bits.shape, generator=generator, device=device, dtype=bits.dtype)
            bits += units * small


def _is_normal(values: torch.Tensor, info: torch.finfo) -> torch.Tensor:
    magnitude = values.abs()
    return (magnitude >= info.smallest_normal) & (magnitude <= info.max)
