"""One HTML file about a run or a network, or about several: the verdict, the numbers, the figures. Needs no other."""

from mechgrok.report.comparison import write_comparison
from mechgrok.report.page import write_report
from mechgrok.report.sweeps import write_sweep_page

__all__ = ["write_comparison", "write_report", "write_sweep_page"]
