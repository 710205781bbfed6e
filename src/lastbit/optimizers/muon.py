"""Muon: why no sharpness is its edge of stability."""

from typing import ClassVar

from lastbit.optimizers.family import Family


class MuonFamily(Family):
    """`torch.optim.Muon`: W' = (1 - h w) W - h D, D of spectral norm about 1, the orthogonal factor of a momentum.

    As with signs (`LionFamily`), a loss that is multiplied by a number, and its Hessian with it, leads to the very same
    steps: torch divides the momentum M by its norm before it makes its singular values all but equal, between 0.7 and
    1.2. So no curvature turns them unstable, and on a quadratic they keep oscillating.

    One step raises a quadratic loss if and only if <D, HD> > 2 <G, D> / h. Where D is the orthogonal factor of G,
    <G, D> is its nuclear norm: with steps that are scaled by it, the largest <D, HD> over matrices of spectral norm 1
    has the edge 2/h (Islamov et al. 2026, arXiv 2603.05002).
    """

    without_edge: ClassVar = {
        "Muon": "multiplying the loss by a number changes none of its steps, so that no sharpness is its edge; a step "
        "lr D, D of spectral norm about 1, raises the loss where <D, HD> is above 2 <G, D> / lr: see "
        "lb.CriticalSharpness"
    }
