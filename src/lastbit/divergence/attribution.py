"""Which tensor a jump of the whole network's distance came from."""

import math
from collections.abc import Mapping


def leapt_most(before: Mapping[str, float], after: Mapping[str, float]) -> str | None:
    """The tensor whose distance grew by the largest factor; None where none grew from a distance above 0.

    A tensor without any difference before has no factor and is passed over, unless all are such; then it is the one
    with the largest distance.

    Args:
        before: name of the tensor -> its distance before the jump.
        after: the same after it.
    """
    factors = {name: after[name] / value for name, value in before.items() if value > 0 and math.isfinite(after[name])}
    if factors:
        return max(factors, key=lambda name: factors[name])
    appeared = {name: value for name, value in after.items() if value > 0 and math.isfinite(value)}
    return max(appeared, key=lambda name: appeared[name], default=None)
