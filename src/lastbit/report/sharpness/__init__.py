"""The page of a series of sharpness, and its charts."""

from lastbit.report.sharpness.charts import sharpness_figures
from lastbit.report.sharpness.page import write_sharpness

__all__ = ["sharpness_figures", "write_sharpness"]
