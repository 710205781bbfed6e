"""Upper bounds on eigenvalues against dense eigenvalues, and what one measurement leaves for the next."""

import math
from dataclasses import dataclass

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lastbit.curvature.eigenpairs import BENEATH, UNSEEN, Ceiling, Recycled, reaches, recycle, upper_bounds
from lastbit.curvature.subspace import Counted, Ritz, Subspace


def symmetric(size: int, seed: int) -> Tensor:
    drawn = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn + drawn.T


def ritz_of(matrix: Tensor, directions: Tensor) -> Ritz:
    space = Subspace(Counted(matrix))
    for direction in directions:
        space.add(direction)
    return space.ritz()


@dataclass(frozen=True)
class Exact:
    """A ceiling that is the complement's largest eigenvalue."""

    matrix: Tensor
    above: float = 0.0

    def over(self, ritz: Ritz, count: int) -> float:
        basis = torch.linalg.qr(ritz.vectors[:count].T, mode="complete")[0][:, count:]
        return float(torch.linalg.eigvalsh(basis.T @ self.matrix @ basis)[-1]) + self.above


@settings(deadline=None, max_examples=200)
@given(
    size=st.integers(6, 25),
    seed=st.integers(0, 10**6),
    width=st.integers(1, 5),
    k=st.integers(1, 3),
    above=st.sampled_from([0.0, 0.1, 3.0]),
    nearness=st.sampled_from([0.0, 1.0, 30.0]),
)
def test_no_eigenvalue_exceeds_its_bound(
    size: int, seed: int, width: int, k: int, above: float, nearness: float
) -> None:
    """Whether the subspace lies near the top eigenvectors or anywhere."""
    matrix, k = symmetric(size, seed), min(k, width)
    values, vectors = torch.linalg.eigh(matrix)
    noise = torch.randn(width, size, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    ritz = ritz_of(matrix, noise + nearness * vectors.T.flip(0)[:width])
    bounds = upper_bounds(ritz, k, Exact(matrix, above))  # type: ignore[arg-type]
    assert bounds.shape == (k,)
    assert bool((bounds >= values.flip(0)[:k] - 1e-9).all())
    assert bool((bounds >= ritz.values[:k] - 1e-9).all())


def test_two_by_two_is_exact() -> None:
    matrix = torch.tensor([[3.0, 0.4], [0.4, 1.0]], dtype=torch.float64)
    ritz = ritz_of(matrix, torch.eye(2, dtype=torch.float64)[:1])
    bound = float(upper_bounds(ritz, 1, Exact(matrix)))  # type: ignore[arg-type]
    assert math.isclose(bound, 2 + math.sqrt(1 + 0.16), rel_tol=1e-14)


def test_a_small_residual_beside_a_gap_counts_by_its_square() -> None:
    spectrum = torch.tensor([10.0, 5.0, *([1.0] * 30)], dtype=torch.float64)
    turned = torch.zeros(32, dtype=torch.float64)
    turned[0], turned[1] = 1.0, 0.02
    ritz = ritz_of(torch.diag(spectrum), turned[None])
    residual, value = float(ritz.residual_norms()), float(ritz.values)
    excess = float(upper_bounds(ritz, 1, Exact(torch.diag(spectrum)))) - value  # type: ignore[arg-type]
    assert math.isclose(excess, residual**2 / 5, rel_tol=1e-2)
    assert excess < residual / 20


def test_without_a_ceiling_there_is_no_bound() -> None:
    ritz = ritz_of(symmetric(5, 0), torch.eye(5, dtype=torch.float64)[:2])
    assert bool(upper_bounds(ritz, 2, None).isposinf().all())


@given(seed=st.integers(0, 1000), width=st.integers(1, 4), rise=st.sampled_from([0.0, 0.25]))
@settings(deadline=None, max_examples=50)
def test_the_ceiling_of_exact_pairs_is_the_complements_top(seed: int, width: int, rise: float) -> None:
    """With H five of whose eigenvalues are known and the others as high as unseen ones may be."""
    basis = torch.linalg.qr(symmetric(12, seed))[0]
    top = torch.tensor([10.0, 9.8, 9.7, 9.6, 9.5], dtype=torch.float64)
    noise = torch.randn(width, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    directions = basis.T[:width] + 0.1 * noise
    matrix = (basis[:, :5] * (top - 7)) @ basis[:, :5].T + 7 * torch.eye(12, dtype=torch.float64)
    ritz = ritz_of(matrix, directions)
    recycled = Recycled(top, basis.T[:5], torch.ones(5, dtype=torch.int64), top)
    floor = UNSEEN * float(ritz.values[0])
    risen = (basis[:, :5] * (top + rise - floor)) @ basis[:, :5].T + floor * torch.eye(12, dtype=torch.float64)
    found = Ceiling(recycled, rise).over(ritz, width)
    assert math.isclose(found, Exact(risen).over(ritz, width), rel_tol=1e-10)


def test_an_old_pair_may_have_risen_by_more() -> None:
    ritz = ritz_of(torch.diag(torch.tensor([10.0, 9.5, 0.0], dtype=torch.float64)), torch.eye(3).double()[:1])
    values = torch.tensor([9.5], dtype=torch.float64)
    pair = Recycled(values, torch.eye(3).double()[1:2], torch.tensor([3]), values)
    assert math.isclose(Ceiling(pair, 0.2).over(ritz, 1), 9.5 + 3 * 0.2, rel_tol=1e-12)


def test_the_pairs_left_out_of_a_bound_raise_its_ceiling() -> None:
    """What the present matrix shows counts beside what earlier ones showed."""
    ritz = ritz_of(torch.diag(torch.tensor([10.0, 9.5, 0.0], dtype=torch.float64)), torch.eye(3).double()[:2])
    values = torch.tensor([1.0], dtype=torch.float64)
    blind = Recycled(values, torch.eye(3).double()[2:], torch.tensor([0]), values)
    assert math.isclose(Ceiling(blind, 0.0).over(ritz, 1), 9.5, rel_tol=1e-12)
    assert math.isclose(Ceiling(blind, 0.0).over(ritz, 2), UNSEEN * 10, rel_tol=1e-12)


def test_reaches_are_the_top_of_two_by_two() -> None:
    matrix = torch.diag(torch.tensor([4.0, 2.0, -3.0], dtype=torch.float64))
    ritz = ritz_of(matrix, torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64))
    expected = [
        float(torch.linalg.eigvalsh(torch.tensor([[v, r], [r, v - (1 - BENEATH) * abs(v)]], dtype=torch.float64))[-1])
        for v, r in ((3.0, 1.0), (-3.0, 0.0))
    ]
    torch.testing.assert_close(reaches(ritz), torch.tensor(expected, dtype=torch.float64))


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
