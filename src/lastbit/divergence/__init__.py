"""Compare two runs of the same training: how far apart are their weights and their predictions?

The relative L1 distance and its growth in training are the paper's (section 4.2). Tensors of any shape are compared
element by element with those of the same shape.
"""

from lastbit.divergence.activation_sides import activation_sides, differing_sides
from lastbit.divergence.distances import (
    Cosine,
    RelativeL2,
    RelL1,
    UlpHistogram,
    check_shapes,
    cosine,
    rel_l1,
    relative_l2,
    ulp_distance,
    ulp_histogram,
)
from lastbit.divergence.growth import Growth, Saturation, Segment, growth, horizon
from lastbit.divergence.linear_growth import LinearGrowth, Parting
from lastbit.divergence.linearised import Linearised
from lastbit.divergence.predictions import LogitDistance, churn, logit_distance
from lastbit.divergence.segmentation import Jump, leapt_most, stays_apart
from lastbit.divergence.trend import Trend, fit_trend
from lastbit.divergence.twins import History, JumpOrigin, Twins

__all__ = [
    "Cosine",
    "Growth",
    "History",
    "Jump",
    "JumpOrigin",
    "LinearGrowth",
    "Linearised",
    "LogitDistance",
    "Parting",
    "RelL1",
    "RelativeL2",
    "Saturation",
    "Segment",
    "Trend",
    "Twins",
    "UlpHistogram",
    "activation_sides",
    "check_shapes",
    "churn",
    "cosine",
    "differing_sides",
    "fit_trend",
    "growth",
    "horizon",
    "leapt_most",
    "logit_distance",
    "rel_l1",
    "relative_l2",
    "stays_apart",
    "ulp_distance",
    "ulp_histogram",
]
