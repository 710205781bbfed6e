"""The random generators that a program shares between all its parts, and what became of them."""

import random
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy
import torch


@dataclass(frozen=True)
class Generators:
    """What tells whether two runs draw the same random numbers. States are digests of it."""

    torch_seed: int  # of the default generator
    torch_state: int
    python_state: int  # of `random`
    numpy_state: int  # of `numpy.random`

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def generators() -> Generators:
    """Look at the generators of this process, drawing nothing."""
    return Generators(
        torch_seed=torch.initial_seed(),
        torch_state=zlib.crc32(torch.get_rng_state().numpy().tobytes()),
        python_state=zlib.crc32(repr(random.getstate()).encode()),
        numpy_state=_numpy_state(),
    )


def _numpy_state() -> int:
    # The generator behind numpy.random's functions, which many programs still share, is what is looked at here.
    _, key, position, *_ = numpy.random.get_state()  # noqa: NPY002
    return zlib.crc32(numpy.asarray(key).tobytes(), int(position))
