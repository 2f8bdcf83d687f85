"""One HTML file about a run or a network, or about several: the verdict, the numbers, the figures. Needs no other."""

from mechgrok.report.comparison import write_comparison
from mechgrok.report.page import write_report

__all__ = ["write_comparison", "write_report"]
