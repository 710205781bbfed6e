"""Elements of tensors moved at random to the next floating-point number, by draws that serve many tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastbit.noise.rounding import successes

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_DENSE_P = 0.07  # from here on it takes less time to draw for every element than to draw where the moved ones are
_COARSE_P = 0.001  # from here on multiples of 2^-32 are near enough to p
_DRAWN = 1 << 17  # elements that are drawn for, and moved, at a time: fewer take more calls, more leave the cache
_DRAWN_ON_DEVICE = 1 << 22
_MOVED = 1 << 12  # elements that move for each draw, where few do
_MOST = 1 << 48  # elements that are drawn for at a time where hardly any moves


class OneUlpMoves:
    """Moves elements, tensor after tensor, with probability p to the next number, up or down with equal chances.

    The numbers and the order of the elements decide with the generator's state what moves. Zero, subnormal and
    non-finite numbers stay (`lastbit.optimizers.weights`).

    Args:
        p: above 0, at most 1.
        generator: of the tensors' device.
    """

    def __init__(self, p: float, generator: torch.Generator) -> None:
        import torch

        self._p, self._generator = p, generator
        on_cpu = generator.device.type == "cpu"
        # On a device the number of those that move would have to be waited for.
        self._sparse = p < _DENSE_P and on_cpu
        dense = _DRAWN if on_cpu else _DRAWN_ON_DEVICE
        self._size = min(int(_MOVED / p), _MOST) if self._sparse else dense  # elements for each draw
        self._used = self._size  # of the latest draw
        self._steps = torch.empty(0)  # of each element of the draw, or of those that move: 1 away from 0, -1 towards it
        self._places = torch.empty(0)  # of those that move, ascending from 0, below `_size`

    def move(self, values: Tensor) -> None:
        """Move elements of a tensor where they are.

        Args:
            values: float64, float32, float16 or bfloat16, of any shape; no two elements share memory.
        """
        from lastbit.optimizers.weights import in_row

        with in_row(values) as row:
            begin, count = 0, len(row)
            while begin < count:
                if self._used == self._size:
                    self._draw()
                end = min(count, begin + self._size - self._used)
                self._move_next(row[begin:end])
                self._used += end - begin
                begin = end

    def _move_next(self, part: Tensor) -> None:
        import torch

        from lastbit.optimizers.weights import move_in_magnitude

        begin, end = self._used, self._used + len(part)
        if not self._sparse:
            move_in_magnitude(part, self._steps[begin:end])
            return
        first, last = torch.searchsorted(self._places, torch.tensor([begin, end])).tolist()
        if first < last:
            places = self._places[first:last] - begin
            values = part.index_select(0, places)
            move_in_magnitude(values, self._steps[first:last])
            part.index_copy_(0, places, values)

    def _draw(self) -> None:
        """Draw for the next elements."""
        self._used = 0
        if self._sparse:
            self._places = successes(self._size, self._p, self._generator)
            self._steps = _signs(len(self._places), self._generator)
            return
        self._steps = _signs(self._size, self._generator)
        if self._p < 1:
            self._steps.mul_(_chosen(self._size, self._p, self._generator))


def _signs(count: int, generator: torch.Generator) -> Tensor:
    """1 or -1 with equal chances, int32 (count,): each bit of random words, those of a word far apart."""
    import torch

    words = _words(-(-count // 32) * 32, generator).view(torch.int32)
    places = torch.arange(32, dtype=torch.int32, device=generator.device).unsqueeze(1)
    return (words >> places).view(-1)[:count].bitwise_and_(1).mul_(2).sub_(1)


def _chosen(count: int, p: float, generator: torch.Generator) -> Tensor:
    """1 with probability p and 0 otherwise, int32 or int64 (count,)."""
    import torch

    bits = 32 if p >= _COARSE_P else 64
    words = _words(count * bits, generator).view(torch.int32 if bits == 32 else torch.int64)
    return words[:count].lt_(round(p * 2**bits) - 2 ** (bits - 1))


def _words(bits: int, generator: torch.Generator) -> Tensor:
    """At least so many random bits, in words of 64."""
    import torch

    words = torch.empty(-(-bits // 64), dtype=torch.int64, device=generator.device)
    return words.random_(-(2**63), None, generator=generator)
