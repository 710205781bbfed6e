"""Random numbers that a noise's seed and the step decide alone, apart from every generator of the program."""

from hashlib import blake2b
from numbers import Integral
from typing import Any

import torch

from lastbit.errors import LastbitError

LARGEST_SEED = 2**63 - 1


def stream(seed: int, step: int, *, device: torch.device | str = "cpu", part: int = 0) -> torch.Generator:
    """A fresh generator for one step of one noise.

    Made anew for every step, so that the number of steps taken is all the state there is: a resumed training draws what
    an uninterrupted one would have drawn. The hash keeps the streams of neighbouring seeds and steps apart.

    Args:
        seed: of the noise.
        step: updates or batches before this one.
        device: of the random numbers.
        part: tells several streams of one step apart.
    """
    digest = blake2b(f"{seed}/{step}/{part}".encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest))


def whole_seed(seed: Any) -> int:
    """Check a noise's seed.

    Raises:
        LastbitError: it is no whole number from 0 to 2**63 - 1.
    """
    whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= seed <= LARGEST_SEED:
        raise LastbitError(f"the seed of a noise is a whole number from 0 to 2**63 - 1; got {seed!r}")
    return int(seed)
