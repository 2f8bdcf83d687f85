"""Figures: functions that take results and return plotly figures."""
