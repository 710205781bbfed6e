"""The page of the paper's items, drawn from stored results only."""

from lastbit.report.paper.control_tables import controls_table, repeats_table
from lastbit.report.paper.entry import Entry
from lastbit.report.paper.page import write_paper_page
from lastbit.report.paper.study_drawings import gradient_errors, study_drawings
from lastbit.report.paper.verdict import Tally, duration, tally
from lastbit.report.paper.words import in_words

__all__ = [
    "Entry",
    "Tally",
    "controls_table",
    "duration",
    "gradient_errors",
    "in_words",
    "repeats_table",
    "study_drawings",
    "tally",
    "write_paper_page",
]
