"""Curvature of training losses: Hessian products, tracked sharpness and the edge of stability.

Cohen et al. (2021) found that full-batch gradient descent drives the largest Hessian eigenvalue, the sharpness, up to
the edge of stability and holds it there. `SharpnessTracker` measures it along training with a bound on its error, and
`SharpnessMonitor` does so inside a training loop of your own; `CriticalSharpness` says, by forward passes alone, how
much longer an optimizer's steps may be, and `BatchSharpness` measures what stands at the edge where batches are small.
`edge_test` says which edge that is, and `CentralFlow` what descent does past its own. `HessianOperator`, `spectrum` and
`trace` give the rest of the curvature, and `lastbit.optimizers.edge_of_stability` gives the edge of an optimizer.
"""

from lastbit.curvature.critical import CriticalRow, CriticalSharpness
from lastbit.curvature.flows.central import CentralFlow, CentralPoint
from lastbit.curvature.monitor import SharpnessMonitor
from lastbit.curvature.operator import CurvatureOperator, GaussNewtonOperator, HessianOperator
from lastbit.curvature.sharpness import EDGE, SharpnessRow
from lastbit.curvature.spectrum import Estimate, SpectralDensity, Trace, spectrum, trace
from lastbit.curvature.stochastic.edge_test import EdgeTest, edge_test
from lastbit.curvature.stochastic.estimates import BatchMean
from lastbit.curvature.stochastic.row import BatchRow
from lastbit.curvature.stochastic.sharpness import BatchSharpness
from lastbit.curvature.tracker import SharpnessTracker

__all__ = [
    "EDGE",
    "BatchMean",
    "BatchRow",
    "BatchSharpness",
    "CentralFlow",
    "CentralPoint",
    "CriticalRow",
    "CriticalSharpness",
    "CurvatureOperator",
    "EdgeTest",
    "Estimate",
    "GaussNewtonOperator",
    "HessianOperator",
    "SharpnessMonitor",
    "SharpnessRow",
    "SharpnessTracker",
    "SpectralDensity",
    "Trace",
    "edge_test",
    "spectrum",
    "trace",
]
