"""Sharpness against the edge of stability along the training of a recipe."""

from lastbit.training.sharpness.finding import finding
from lastbit.training.sharpness.measurement import Measurement
from lastbit.training.sharpness.row import FlowRow, LayerSharpness, Row
from lastbit.training.sharpness.series import Series, parse_every
from lastbit.training.sharpness.store import RESULTS

__all__ = ["RESULTS", "FlowRow", "LayerSharpness", "Measurement", "Row", "Series", "finding", "parse_every"]
