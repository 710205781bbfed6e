"""The page of the paper's items, drawn from stored results only."""

from lastbit.report.paper.entry import Entry
from lastbit.report.paper.page import write_paper_page
from lastbit.report.paper.verdict import Tally, duration, tally
from lastbit.report.paper.words import in_words

__all__ = ["Entry", "Tally", "duration", "in_words", "tally", "write_paper_page"]
