"""Last-bit error of the computation itself: results of tensor operations moved by one unit in the last place."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lastbit.errors import LastbitError, did_you_mean
from lastbit.noise.noise import Noise, Option, whole_seed
from lastbit.noise.one_ulp import OneUlpMoves
from lastbit.noise.rounding import USUAL_P, P, probability, refuse_no_move
from lastbit.noise.seeded import FIRST_SEEDS, NOISE_SEEDS, stream

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.optim import Optimizer


@dataclass(frozen=True)
class Operations(Noise):
    """Each element of each operation's result moves to the next floating-point number with probability p.

    It moves up or down with equal chances, independently of all others. These are the operations that train the
    optimizer's weights and round, forward and backward: what autograd records of what depends on the weights, and the
    backward pass of that. They are seen by dispatch, below autograd, so that what is saved for the backward pass is the
    disturbed result. An error of one unit is what another kernel, another library or another machine makes at least.

    Not disturbed are: views, copies, padding, random draws, comparisons, whole numbers, results chosen among given
    numbers (ReLU, maxima, sorting); the update of the weights, for which there is `Rounding`; evaluation without
    gradients, other networks, and data that are made ready. As with `Rounding`, zero, subnormal and non-finite results
    stay as they are (`lastbit.optimizers.weights`). What `torch.compile` compiles runs eagerly beside this noise, at
    p = 0 too.

    Attributes:
        seed: of the draws, which the number of steps taken decides with it.
        p: probability from 0, which is bit-identical to no noise, to 1.
        names: operations of torch that are disturbed, without the overload and without what marks those in place or on
            lists (`addmm`, `convolution_backward`); None for all that round.

    Raises:
        LastbitError: p is no number from 0 to 1, the seed no whole number from 0 to 2**63 - 1, or there is no name.
    """

    seed: int
    p: float = USUAL_P
    names: tuple[str, ...] | None = None

    kind = "operations"
    help = "each operation's result by one ulp with probability p"
    difference = "the last bit of the results of its operations"
    explanation = (
        "<p>The noise is an error in the last place of what the training computes: each element of the result of every "
        "operation that rounds, in the forward and the backward pass, moves with probability p to the next "
        "floating-point number above or below. p=0 is ordinary training; #1, #2, … are draws.</p>"
    )
    options = (NOISE_SEEDS, P, Option("operations", str, "For operations: names such as addmm,convolution [all]."))

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole_seed(self.seed))
        object.__setattr__(self, "p", probability(self.p, "a result"))
        if self.names is not None:
            object.__setattr__(self, "names", _names(self.names))

    @property
    def label(self) -> str:
        """The noise in a word, for tables: `operations p=0.03 #1`."""
        which = "operations" if self.names is None else "+".join(self.names)
        return f"{which} p=0" if self.p == 0 else f"{which} p={self.p:g} #{self.seed}"

    @property
    def is_exact(self) -> bool:
        """Whether it moves no result."""
        return self.p == 0

    def baseline(self) -> Operations:
        """The noise that moves no result, p = 0; it looks at every operation all the same."""
        return Operations(0, 0.0, self.names)

    @classmethod
    def choose(
        cls, p: float = USUAL_P, noise_seeds: Sequence[int] = FIRST_SEEDS, operations: str | None = None
    ) -> list[Noise]:
        """The noise turned off, and then one for each seed.

        Raises:
            LastbitError: p is 0, which is the noise turned off.
        """
        refuse_no_move(p, "no result")
        names = None if operations is None else tuple(operations.split(","))
        return [cls(0, 0.0, names), *(cls(seed, p, names) for seed in noise_seeds)]

    def attach(self, optimizer: Optimizer) -> None:
        """Put the noise on this very optimizer.

        Raises:
            LastbitError: torch has no operation of one of the names, or a parameter is no plain dense tensor.
        """
        for name in self.names or ():
            _refuse_unknown(name)
        super().attach(optimizer)

    def accompany(self, optimizer: Optimizer) -> None:
        """Disturb the operations that train the weights of this optimizer from now on, in this thread."""
        from lastbit.optimizers.operations import watch_operations

        chosen = None if self.names is None else frozenset(self.names)
        watch_operations(optimizer, _Moves(self, optimizer).move, chosen)


class _Moves:
    """Moves results; the number of the optimizer's steps and what was drawn since the last one decide how.

    Args:
        noise: with probability and seed.
        optimizer: counts the steps; it is not kept alive.
    """

    def __init__(self, noise: Operations, optimizer: Optimizer) -> None:
        self._noise, self._optimizer = noise, weakref.ref(optimizer)
        self._step = -1
        self._moves: dict[torch.device, OneUlpMoves] = {}

    def move(self, results: list[Tensor]) -> None:
        """Move elements of an operation's results where they are."""
        from lastbit.optimizers.weights import has_last_place, real

        if self._noise.p == 0:
            return
        for tensor in results:
            if has_last_place(tensor):
                self._moves_on(tensor.device).move(real(tensor))

    def _moves_on(self, device: torch.device) -> OneUlpMoves:
        step = getattr(self._optimizer(), "noise_steps", 0)
        if step != self._step:
            self._step, self._moves = step, {}
        if device not in self._moves:
            self._moves[device] = OneUlpMoves(self._noise.p, stream(self._noise.seed, step, device=device))
        return self._moves[device]


def _names(given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    bare = tuple(dict.fromkeys(str(name).removeprefix("aten::").strip() for name in names))
    if not bare or not all(name.isidentifier() for name in bare):
        raise LastbitError(f"names are those of torch's operations, such as ('addmm', 'convolution'); got {given!r}")
    return bare


def _refuse_unknown(name: str) -> None:
    import torch

    if hasattr(torch.ops.aten, name):
        return
    schemas = torch._C._jit_get_all_schemas()
    known = sorted({schema.name.removeprefix("aten::") for schema in schemas if schema.name.startswith("aten::")})
    raise LastbitError(f"torch has no operation {name!r}{did_you_mean(name, known, before='; ')}")
