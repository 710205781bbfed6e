"""Sharpness against the edge of stability along the training of a recipe."""

from lastbit.training.sharpness.measurement import Measurement
from lastbit.training.sharpness.series import RESULTS, Series, parse_every, series_finding

__all__ = ["RESULTS", "Measurement", "Series", "parse_every", "series_finding"]
