"""The page of the paper's items."""

from lastbit.report.paper.page import Entry, write_paper_page
from lastbit.report.paper.words import Tally, in_words, tally

__all__ = ["Entry", "Tally", "in_words", "tally", "write_paper_page"]
