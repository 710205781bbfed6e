"""Two recipes' runs compared: how large the difference is, how sure, and how many runs would make it so."""

from lastbit.study.comparison.compare import compare
from lastbit.study.comparison.comparison import Comparison

__all__ = ["Comparison", "compare"]
