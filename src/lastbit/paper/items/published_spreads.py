"""The paper's tables of test accuracies, put through the same statistics as ours.

The paper takes STDs with ddof 0 and averages them; here variances are pooled with ddof 1. To hold one against the
other, the paper's spreads are computed anew from the accuracies that it prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lastbit.statistics.spread import Share, Spread, Table, noise_share, noise_spread, seed_spread


@dataclass(frozen=True)
class PublishedTable:
    """Final test accuracies in percent; the rows are k = 1, 3, 5, 7, 9 and 11, the columns seeds 1 to 6."""

    rows: Sequence[Sequence[float]]
    ks: Sequence[int] = (1, 3, 5, 7, 9, 11)

    @property
    def values(self) -> Table:
        """The accuracies, shape (ks, seeds)."""
        return np.array(self.rows, dtype=np.float64)

    @property
    def mean(self) -> float:
        """Mean accuracy."""
        return float(self.values.mean())

    @property
    def over_k(self) -> Spread:
        """STD over k at a seed, pooled over seeds."""
        return _known(noise_spread(self.values))

    @property
    def over_seeds(self) -> Spread:
        """STD over seeds at a k, pooled over k."""
        return _known(seed_spread(self.values))

    @property
    def share(self) -> float:
        """STD over k as a share of the STD over seeds.

        Raises:
            AssertionError: the table has no spread over seeds.
        """
        found: Share | None = noise_share(self.values)
        if found is None:
            raise AssertionError("a published table has a spread")
        return found.value

    def as_json(self) -> Mapping[str, object]:
        """The accuracies by k, and the spreads that follow from them with their 95 % intervals."""
        return {
            "test_accuracy_by_seed": {f"k={k}": list(row) for k, row in zip(self.ks, self.rows, strict=True)},
            "pooled_std_over_k": _in_words(self.over_k),
            "pooled_std_over_seeds": _in_words(self.over_seeds),
        }


def _known(found: Spread | None) -> Spread:
    if found is None:
        raise AssertionError("a published table has at least two rows and two columns")
    return found


def _in_words(found: Spread) -> str:
    return f"{found.std:.3f} ({found.lower:.3f} to {found.upper:.3f})"
