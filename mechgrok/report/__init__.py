"""One HTML file about one network: the verdict, the numbers, the figures. Needs no other file and no network."""

from mechgrok.report.page import write_report

__all__ = ["write_report"]
