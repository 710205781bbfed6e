"""The page of a study, its charts and its tables."""

from lastbit.report.study.page import write_charts, write_report

__all__ = ["write_charts", "write_report"]
