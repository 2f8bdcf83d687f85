"""Analyses: pure functions of an activation grid, or of a network, from which they cache one."""
