"""What one measurement leaves for the next: which pairs are kept, in which order, and how old they are."""

import torch
from torch import Tensor

from lastbit.curvature.eigenpairs import Recycled, recycle
from lastbit.curvature.subspace import Ritz

UNITS = torch.eye(8, dtype=torch.float64)


def exact(values: list[float], vectors: Tensor, smear: float = 0.0) -> Ritz:
    """Ritz pairs whose residuals all have this norm, along a direction outside them."""
    numbers = torch.tensor(values, dtype=torch.float64)
    return Ritz(numbers, vectors, numbers[:, None] * vectors + smear * UNITS[-1])


def left(values: list[float], vectors: Tensor, age: int = 1) -> Recycled:
    numbers = torch.tensor(values, dtype=torch.float64)
    return Recycled(numbers, vectors, torch.full((len(values),), age), numbers)


def test_a_known_rival_outlasts_what_a_few_products_left_half_resolved() -> None:
    fresh = Ritz(
        torch.tensor([10.0, 3.0, 2.0], dtype=torch.float64),
        UNITS[:3],
        torch.stack([10 * UNITS[0], 3 * UNITS[1] + 4 * UNITS[6], 2 * UNITS[2] + 4 * UNITS[7]]),
    )
    kept = recycle(fresh, 1, left([9.5, 9.0], UNITS[3:5], age=4), 3)
    assert kept.values.tolist() == [10.0, 9.5, 9.0]
    assert kept.ages.tolist() == [0, 4, 4]


def test_of_two_pairs_as_large_the_better_known_is_kept() -> None:
    kept = recycle(exact([10.0, 5.0], UNITS[:2], smear=3.0), 1, left([4.9], UNITS[3:4]), 2)
    assert kept.values.tolist() == [10.0, 4.9]


def test_the_first_pairs_stay_first_whatever_was_left() -> None:
    kept = recycle(exact([5.0, 4.0, 1.0], UNITS[:3]), 2, left([9.0], UNITS[4:5]), 4)
    assert kept.values.tolist() == [5.0, 4.0, 9.0, 1.0]


def test_a_pair_that_was_resolved_again_is_not_kept_twice() -> None:
    turned = (UNITS[1] + 0.5 * UNITS[4]) / 1.25**0.5
    kept = recycle(exact([5.0, 4.0], UNITS[:2]), 1, left([4.2, 3.0], torch.stack([turned, UNITS[5]])), 8)
    assert kept.values.tolist() == [5.0, 4.0, 3.0]
    torch.testing.assert_close(kept.vectors @ kept.vectors.T, torch.eye(3, dtype=torch.float64))


def test_pairs_grow_older() -> None:
    assert left([1.0], UNITS[:1], age=3).aged(2).ages.tolist() == [5]
