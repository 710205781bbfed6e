"""Pages and charts, drawn from stored results only.

What is drawn are plain dictionaries as `results.json` holds them. Nothing here trains, measures or computes a
statistic; numbers in titles are picked from the stored ones.
"""

from lastbit.report.compared_page import write_comparison
from lastbit.report.export import write_charts
from lastbit.report.page import write_report

__all__ = ["write_charts", "write_comparison", "write_report"]
