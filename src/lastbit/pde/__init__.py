"""Von Neumann and CFL analysis, stability bounds and simulation of the PDEs behind convolutional layers.

The heat and Beltrami equations (`heat`, `Beltrami`) introduce the terms; `OneLayerCNN` is the network that the theory
is about, with its bounds; `simulate` and `phase` show what happens inside and beyond them.
"""

from lastbit.pde import heat
from lastbit.pde.beltrami import Beltrami, noisy_step
from lastbit.pde.bisection import EmpiricalBounds, empirical_bounds
from lastbit.pde.bounds import Bounds, stability_bounds
from lastbit.pde.classification import REGIMES, Path, classify
from lastbit.pde.grid import GridRun
from lastbit.pde.hessian import Hessian
from lastbit.pde.images import checkerboard, noise, random_kernel, read_image
from lastbit.pde.layer_bounds import LayerBounds, layer_bounds
from lastbit.pde.layer_spectrum import BlockSpectrum
from lastbit.pde.layer_symbol import ClosedForm
from lastbit.pde.linearisation import Linearisation
from lastbit.pde.model import Evaluation, Model
from lastbit.pde.momentum import Momentum, from_damping, to_damping
from lastbit.pde.multilayer import MultiLayerCNN
from lastbit.pde.one_layer import OneLayerCNN
from lastbit.pde.perturbation import perturbed_update, relative_l1
from lastbit.pde.phase_map import BoundCurve, Phase, bound_curve, phase
from lastbit.pde.regime_bounds import regime_bounds
from lastbit.pde.regimes import ACTIVATIONS, regime_shares
from lastbit.pde.simulation import Simulation, simulate
from lastbit.pde.spectrum import Mode, Spectrum

__all__ = [
    "ACTIVATIONS",
    "REGIMES",
    "Beltrami",
    "BlockSpectrum",
    "BoundCurve",
    "Bounds",
    "ClosedForm",
    "EmpiricalBounds",
    "Evaluation",
    "GridRun",
    "Hessian",
    "LayerBounds",
    "Linearisation",
    "Mode",
    "Model",
    "Momentum",
    "MultiLayerCNN",
    "OneLayerCNN",
    "Path",
    "Phase",
    "Simulation",
    "Spectrum",
    "bound_curve",
    "checkerboard",
    "classify",
    "empirical_bounds",
    "from_damping",
    "heat",
    "layer_bounds",
    "noise",
    "noisy_step",
    "perturbed_update",
    "phase",
    "random_kernel",
    "read_image",
    "regime_bounds",
    "regime_shares",
    "relative_l1",
    "simulate",
    "stability_bounds",
    "to_damping",
]
