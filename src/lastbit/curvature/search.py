"""The largest eigenpairs of a matrix that changes little from one call to the next, from starts that are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lastbit.curvature.eigenpairs import DRIFT, Bounded, Recycled, converge, recycle
from lastbit.curvature.subspace import Counted, Subspace, lanczos, steps_needed

PROBE_GAP = 0.1  # a probe looks for eigenvalues this part of the spectrum's width above the known ones
PROBE_MISS = 0.01  # bound on the probability that it misses one
STALE = 0.5  # residual of a warm start, relative to its value, above which the last eigenvectors are useless
RECYCLED = 10  # pairs kept beside the k
MEMORY = 5  # measurements that the longest rule and its test need


@dataclass(frozen=True, eq=False)
class FoundPairs:
    """The result of one search."""

    pairs: Bounded  # k of them
    probed: int  # products spent on random starts


class WarmSearch:
    """Finds the k largest eigenpairs of one matrix after another, each from the last ones' eigenvectors.

    Args:
        k: pairs wanted.
        tol: largest distance from a value to its upper bound, relative to the largest value's modulus.
        max_products: most products of a search before it returns unconverged; probes come on top.
        generator: the source of random directions.
    """

    def __init__(self, k: int, tol: float, max_products: int, generator: torch.Generator) -> None:
        self._k, self._tol, self._max_products, self._generator = k, tol, max_products, generator
        self._history: list[Recycled] = []

    def forget(self) -> None:
        """Start the next search from a random direction."""
        self._history.clear()

    def largest(self, operator: Counted, *, probe: bool) -> FoundPairs:
        """The k largest pairs of a matrix.

        Args:
            operator: the matrix.
            probe: look for missed eigenvalues from a random start; after a cold or stale start it does so anyway.
        """
        if not self._history:
            pairs, probed = self._cold(operator)
            probe = self._k > 1  # one random start finds one copy of a multiple eigenvalue
        else:
            pairs, probed, stale = self._warm(operator)
            probe = probe or stale
        beside: list[Recycled] = []
        while probe and bool(pairs.ritz.values.isfinite().all()):
            probe, pairs, spent = self._probe(operator, pairs, beside)
            probed += spent
        self._remember(pairs, beside)
        return FoundPairs(pairs.first(self._k), probed)

    def _cold(self, operator: Counted) -> tuple[Bounded, int]:
        """Search from a random direction."""
        space = lanczos(operator, steps_needed(operator.size, PROBE_GAP, PROBE_MISS), self._generator)
        probed = len(space)
        while len(space) < self._k and space.finite:
            space.add(operator.random_direction(self._generator))
        return converge(operator, space, self._k, self._tol, self._budget(operator)), probed

    def _warm(self, operator: Counted) -> tuple[Bounded, int, bool]:
        """Search from the predicted vectors; whether the prediction turned out to be stale."""
        rule = best_rule(self._history)
        recycled = self._history[-rule.lag].aged(rule.lag)
        space = Subspace(operator)
        for index in self._starts(recycled):
            space.add(rule.vector(self._history, index) if index < self._k else recycled.vectors[index])
        first = space.ritz(self._k)
        stale = bool((first.residual_norms() > STALE * first.values.abs().max()).any())
        return converge(operator, space, self._k, self._tol, self._budget(operator), recycled), 0, stale

    def _budget(self, operator: Counted) -> int:
        return operator.products + self._max_products

    def _starts(self, recycled: Recycled) -> list[int]:
        """The k pairs, and the pair most likely to have passed the k-th since it was last in the space, if any."""
        first = list(range(min(self._k, len(recycled.values))))
        # The least rise per search that would have done it: by height alone, old pairs would keep out near ones.
        missing = recycled.values[len(first) - 1] - recycled.values[self._k :]
        needed = missing / recycled.ages[self._k :].double()
        rivals = needed < DRIFT * float(recycled.values[0].abs())
        return [*first, self._k + int(needed.argmin())] if bool(rivals.any()) else first

    def _probe(self, operator: Counted, pairs: Bounded, beside: list[Recycled]) -> tuple[bool, Bounded, int]:
        """Search the complement of the k pairs from a random start; whether a larger eigenvalue was there.

        Pairs that are not larger go to `beside`.
        """
        best = pairs.ritz.first(self._k)
        steps = steps_needed(operator.size, PROBE_GAP, PROBE_MISS)
        space = lanczos(operator, steps, self._generator, apart_from=best.vectors)
        probed = len(space)
        seen = space.ritz(self._k + RECYCLED)
        if not probed or not bool(seen.values[0] > best.values[-1]):
            beside.extend([recycle(seen, 0, None, RECYCLED)] if probed and space.finite else [])
            return False, pairs, probed
        wider = Subspace(operator, start=best)
        wider.join(seen)
        return True, converge(operator, wider, self._k, self._tol, self._budget(operator)), probed

    def _remember(self, pairs: Bounded, beside: list[Recycled]) -> None:
        if not bool(pairs.ritz.values.isfinite().all()):
            return self.forget()
        earlier = beside[0] if beside else self._earlier()
        kept = recycle(pairs.ritz, self._k, earlier, self._k + RECYCLED)
        self._history = [*self._history[1 - MEMORY :], kept]
        return None

    def _earlier(self) -> Recycled | None:
        """What the search that this one started from has left."""
        if not self._history:
            return None
        lag = best_rule(self._history).lag
        return self._history[-lag].aged(lag)


@dataclass(frozen=True)
class Rule:
    """Predicts eigenvectors as those of `lag` measurements ago, unchanged or extrapolated by their last change."""

    lag: int
    linear: bool

    @property
    def reach(self) -> int:
        """Earlier measurements that it needs."""
        return 2 * self.lag if self.linear else self.lag

    def vector(self, history: Sequence[Recycled], index: int) -> Tensor:
        """The predicted unit eigenvector of that index."""
        vector = history[-self.lag].vectors[index]
        if not self.linear:
            return vector
        earlier = history[-2 * self.lag].vectors[index]
        moved = 2 * vector - torch.sign(torch.dot(vector, earlier)) * earlier
        unit: Tensor = moved / torch.linalg.vector_norm(moved)
        return unit


# Near its edge, gradient descent jumps from side to side of a valley, so that every second Hessian is alike. Elsewhere
# it moves smoothly.
RULES = tuple(Rule(lag, linear) for lag in (1, 2) for linear in (False, True))


def best_rule(history: Sequence[Recycled]) -> Rule:
    """The rule that would have predicted the last measurement's first eigenvector best. It costs no product."""
    past, last = history[:-1], history[-1].vectors[0]
    usable = [rule for rule in RULES if rule.reach <= len(past)]
    overlap = {rule: abs(float(torch.dot(rule.vector(past, 0), last))) for rule in usable}
    return max(usable, key=lambda rule: overlap[rule], default=RULES[0])
