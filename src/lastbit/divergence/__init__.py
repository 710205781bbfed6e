"""Compare two runs of the same training: how far apart are their weights and their predictions?"""

from lastbit.divergence.churn import churn
from lastbit.divergence.cosine import Cosine, cosine
from lastbit.divergence.growth import Growth, Saturation, Segment, growth
from lastbit.divergence.jumps import Jump
from lastbit.divergence.logits import LogitDistance, logit_distance
from lastbit.divergence.rel_l1 import RelL1, rel_l1
from lastbit.divergence.relative_l2 import RelativeL2, relative_l2
from lastbit.divergence.trend import Trend, fit_trend
from lastbit.divergence.ulps import UlpHistogram, ulp_distance, ulp_histogram

__all__ = [
    "Cosine",
    "Growth",
    "Jump",
    "LogitDistance",
    "RelL1",
    "RelativeL2",
    "Saturation",
    "Segment",
    "Trend",
    "UlpHistogram",
    "churn",
    "cosine",
    "fit_trend",
    "growth",
    "logit_distance",
    "rel_l1",
    "relative_l2",
    "ulp_distance",
    "ulp_histogram",
]
