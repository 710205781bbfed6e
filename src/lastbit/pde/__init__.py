"""Von Neumann and CFL analysis, stability bounds and simulation of the PDEs behind convolutional layers.

The heat and Beltrami equations (`heat`, `Beltrami`) introduce the terms. `OneLayerCNN` is the network of the theory,
with its bounds. `simulate` and `phase` show what happens inside and beyond them. Everything follows the paper
(sections 3 and 5, appendices D to F) unless another source is named. Kernels have shape (W, W), images (N, N).
"""

from lastbit.pde import heat
from lastbit.pde.agreement import (
    LinearisationErrors,
    as_layers,
    autograd_error,
    automatic_block,
    automatic_gradients,
    block_error,
    difference_error,
    layer_gradient_errors,
    linearisation_errors,
    signal_change,
    window_error,
)
from lastbit.pde.amplification import FrequencyStep, frequency_step, growth_factor, predicted_factor
from lastbit.pde.beltrami import Beltrami, noisy_step
from lastbit.pde.bisection import EmpiricalBounds, empirical_bounds, regime_bounds
from lastbit.pde.bounds import Bounds, stability_bounds
from lastbit.pde.classification import REGIMES, Path, classify
from lastbit.pde.grid import GridRun, perturbed_update, relative_l1
from lastbit.pde.head import ACTIVATIONS, regime_shares
from lastbit.pde.images import checkerboard, noise, random_kernel, read_image
from lastbit.pde.layers.bounds import LayerBounds, layer_bounds
from lastbit.pde.layers.spectrum import BlockSpectrum
from lastbit.pde.layers.symbol import ClosedForm
from lastbit.pde.linearisation import Evaluation, Linearisation, Model
from lastbit.pde.momentum import (
    FittedOrder,
    Momentum,
    damped_flow,
    fitted_order,
    from_damping,
    optimizer_path,
    semi_implicit_path,
    to_damping,
)
from lastbit.pde.multilayer import MultiLayerCNN
from lastbit.pde.one_layer import OneLayerCNN
from lastbit.pde.phase_map import BoundCurve, Phase, bound_curve, phase
from lastbit.pde.simulation import Simulation, simulate
from lastbit.pde.spectrum import Hessian, Mode, Spectrum

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
    "FittedOrder",
    "FrequencyStep",
    "GridRun",
    "Hessian",
    "LayerBounds",
    "Linearisation",
    "LinearisationErrors",
    "Mode",
    "Model",
    "Momentum",
    "MultiLayerCNN",
    "OneLayerCNN",
    "Path",
    "Phase",
    "Simulation",
    "Spectrum",
    "as_layers",
    "autograd_error",
    "automatic_block",
    "automatic_gradients",
    "block_error",
    "bound_curve",
    "checkerboard",
    "classify",
    "damped_flow",
    "difference_error",
    "empirical_bounds",
    "fitted_order",
    "frequency_step",
    "from_damping",
    "growth_factor",
    "heat",
    "layer_bounds",
    "layer_gradient_errors",
    "linearisation_errors",
    "noise",
    "noisy_step",
    "optimizer_path",
    "perturbed_update",
    "phase",
    "predicted_factor",
    "random_kernel",
    "read_image",
    "regime_bounds",
    "regime_shares",
    "relative_l1",
    "semi_implicit_path",
    "signal_change",
    "simulate",
    "stability_bounds",
    "to_damping",
    "window_error",
]
