"""Compare two runs of the same training: how far apart are their weights and their predictions?"""

from lastbit.divergence.churn import churn
from lastbit.divergence.rel_l1 import RelL1, rel_l1

__all__ = ["RelL1", "churn", "rel_l1"]
