"""A self-contained HTML file about one or several runs or networks: the verdict, the numbers, the figures."""

from mechgrok.report.comparison import write_comparison
from mechgrok.report.page import write_report
from mechgrok.report.sweeps import write_sweep_page

__all__ = ["write_comparison", "write_report", "write_sweep_page"]
