"""A self-contained HTML file about one or several runs or networks: the verdict, the numbers, the figures."""

from mechgrok.report.comparison import write_comparison
from mechgrok.report.page import write_report

__all__ = ["write_comparison", "write_report"]
