"""What lowers the churn between runs and keeps training stable; each remedy is one file, and drops into any loop.

A remedy is one file of this folder, or one class of anybody's: a subclass of `Remedy`, found by being there. As such a
plug-in it goes into recipes (`[remedy]`) and into `lastbit remedy`.
"""

from lastbit.remedies.average import Average
from lastbit.remedies.capped import Capped
from lastbit.remedies.remedy import Remedy
from lastbit.remedies.smooth import smooth

__all__ = ["Average", "Capped", "Remedy", "smooth"]
