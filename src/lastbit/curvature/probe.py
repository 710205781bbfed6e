"""A random search for eigenvalues that a warm start cannot see, and the probability that it misses one.

A small residual says that some eigenvalue is near, not that it is the largest: a start without a component along the
top eigenvector never finds it. A Lanczos run from a direction uniform on the sphere misses with bounded probability:
after m steps its largest Ritz value lies more than eps (lambda_max - lambda_min) below lambda_max with probability at
most 1.648 sqrt(n) exp(-sqrt(eps) (2m - 1)) (Kuczynski and Wozniakowski 1992, theorem 4.2, real symmetric matrices).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lastbit.curvature.counted import Counted
from lastbit.curvature.subspace import Subspace


def miss_probability(size: int, products: int, relative_gap: float) -> float:
    """Bound on the probability that a random start misses an eigenvalue by more than a part of the spectrum's width.

    Args:
        size: rows of the matrix.
        products: Lanczos steps from the random start.
        relative_gap: eps above.
    """
    if products >= size:
        return 0.0
    return min(1.0, 1.648 * math.sqrt(size) * math.exp(-math.sqrt(relative_gap) * (2 * products - 1)))


def steps_needed(size: int, relative_gap: float, probability: float) -> int:
    """Lanczos steps that bring `miss_probability` under a probability; never more than there are rows."""
    exponent = math.log(1.648 * math.sqrt(size) / probability) / math.sqrt(relative_gap)
    return min(size, max(1, math.ceil((exponent + 1) / 2)))


def lanczos(operator: Counted, steps: int, generator: torch.Generator, *, apart_from: Tensor | None = None) -> Subspace:
    """The Krylov space of a random direction, with full reorthogonalisation.

    Args:
        operator: the symmetric matrix.
        steps: most products to spend; fewer where the Krylov space is exhausted.
        generator: the source of the direction.
        apart_from: orthonormal vectors to stay orthogonal to: the run is then that of the matrix projected on their
            complement.
    """
    space = Subspace(operator, apart_from=apart_from)
    direction = operator.random_direction(generator)
    while len(space) < steps and space.finite and space.add(direction):
        direction = space.last_product()
    return space
