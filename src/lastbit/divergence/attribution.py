"""Which tensor a jump of the whole network's distance came from."""

import math
from collections.abc import Mapping


def leapt_most(before: Mapping[str, float], after: Mapping[str, float]) -> str | None:
    """The tensor whose distance grew by the largest factor; None where none grew from a distance above 0.

    A tensor without a difference before, or that was not there, has no factor and is passed over, unless all are such;
    then it is the one with the largest distance. A training may drop one network and make another.

    Args:
        before: name of the tensor -> its distance before the jump.
        after: the same after it.
    """
    finite = {name: value for name, value in after.items() if math.isfinite(value)}
    factors = {name: value / before[name] for name, value in finite.items() if before.get(name, 0.0) > 0}
    if factors:
        return max(factors, key=lambda name: factors[name])
    appeared = {name: value for name, value in finite.items() if value > 0}
    return max(appeared, key=lambda name: appeared[name], default=None)
