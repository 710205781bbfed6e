"""What lowers the churn between runs and keeps training stable; each remedy is one file, and drops into any loop.

A remedy is one file of this folder, or one class of anybody's: a subclass of `Remedy`, found by being there. As such a
plug-in it goes into recipes (`[remedy]`) and into `lastbit remedy`.
"""

from typing import TYPE_CHECKING

from lastbit.remedies.average import Average
from lastbit.remedies.compensated import compensated
from lastbit.remedies.distil import towards
from lastbit.remedies.ensemble import Members
from lastbit.remedies.float64 import float64, float64_updates
from lastbit.remedies.remedy import Remedy
from lastbit.remedies.smooth import smooth
from lastbit.remedies.snapshot_average import SnapshotAverage
from lastbit.remedies.stochastic_rounding import stochastic_rounding

if TYPE_CHECKING:
    from lastbit.remedies.capped import Capped

__all__ = [
    "Average",
    "Capped",
    "Members",
    "Remedy",
    "SnapshotAverage",
    "compensated",
    "float64",
    "float64_updates",
    "smooth",
    "stochastic_rounding",
    "towards",
]


def __getattr__(name: str) -> object:
    """Import the capped optimizer when it is first used: with it comes SciPy, which runs of a script do without."""
    if name == "Capped":
        from lastbit.remedies import capped

        return capped.Capped
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
