"""The number that a study's table holds, and how it is written."""

from dataclasses import dataclass
from math import floor, log10

import numpy as np

from lastbit.statistics.spread import Table

_MOST_DECIMALS = 15


@dataclass(frozen=True)
class Metric:
    """A final number of each run, whose spread a study tells."""

    name: str  # under which it was logged
    label: str  # for people, as in the middle of a sentence
    is_percentage: bool = False  # then differences are percentage points

    def decimals(self, table: Table) -> int:
        """Decimals that show what varies: two of a percentage, else as many as give the values' STD two digits.

        Where nothing varies, as many as give the largest value four.

        Args:
            table: the values, shape (noises, seeds); NaN for a missing one.
        """
        if self.is_percentage:
            return 2
        present = table[np.isfinite(table)]
        # The mean of equal values may round to another value: they vary by nothing all the same.
        std = float(np.std(present - present[0], ddof=1)) if len(present) > 1 else 0.0
        scale, digits = (std, 2) if std > 0 else (float(np.abs(present).max(initial=0)), 4)
        return min(_MOST_DECIMALS, max(0, digits - 1 - floor(log10(scale)))) if scale > 0 else 1


TEST_ACCURACY = Metric("test_accuracy", "test accuracy", is_percentage=True)
