"""Lion and sign descent: why no sharpness is their edge of stability."""

from typing import ClassVar

from lastbit.optimizers.family import Family


class LionFamily(Family):
    """Steps of one length, whatever the gradient: w' = w - h (d + weight decay w), d the signs of an average.

    A loss that is multiplied by a number, and its Hessian with it, leads to the very same steps, with any momentum. So
    there is no curvature at which they turn unstable. On a quadratic they never blow up, since the loss falls as long
    as the sum of |g| exceeds half of h max d'Hd; they keep oscillating by about h in every weight.

    What can be said is of one step: L(w - h d) - L(w) = -h g'd + h^2 d'Hd / 2 on a quadratic, so that it raises the
    loss if and only if d'Hd > 2 g'd / h. Where d are the signs of g, g'd is the sum of |g|: with steps that are scaled
    by it, max d'Hd over all signs has the edge 2/h (Islamov et al. 2026, arXiv 2603.05002).
    """

    without_edge: ClassVar = dict.fromkeys(
        ("Lion", "SignSGD", "Signum"),
        "multiplying the loss by a number changes none of its steps, so that no sharpness is its edge; a step lr d, d "
        "of signs, raises the loss where d'Hd is above 2 g'd / lr: see lb.CriticalSharpness",
    )
