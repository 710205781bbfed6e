"""What lowers the churn between runs and keeps training stable; each remedy is one file, and drops into any loop."""

from lastbit.remedies.average import Average
from lastbit.remedies.capped import Capped
from lastbit.remedies.smooth import smooth

__all__ = ["Average", "Capped", "smooth"]
