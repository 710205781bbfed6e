"""The page of a sharpness series, drawn from its stored results only."""

from lastbit.report.sharpness.page import write_sharpness

__all__ = ["write_sharpness"]
