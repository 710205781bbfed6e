"""Why some optimizers have no known edge of stability."""

from typing import ClassVar

from lastbit.optimizers.family import Family

_SIGNS = "its step is as long for a small gradient as for a large one, so that it keeps oscillating and has no edge"


class WithoutEdge(Family):
    """Optimizers, torch's and others, recognised by the name of their class; nothing else about them is known here."""

    without_edge: ClassVar = {
        "Adadelta": "it divides by averages of its own updates too, and no formula for its edge is known here",
        "Adagrad": "its divisor grows with every step, so that its edge is never at rest",
        "LBFGS": "each step's direction and length come from a search of their own, so that no edge is fixed",
        "Lion": _SIGNS,
        "Muon": _SIGNS,
        "NAdam": "its momentum follows a schedule, so that its edge moves; Adam's formula does not hold",
        "RAdam": "its first steps are rectified and its edge moves; Adam's formula does not hold",
        "Rprop": _SIGNS,
        "SAM": "it takes the gradient at other weights, and its edge lies below that of the optimizer inside",
        "SignSGD": _SIGNS,
    }
