"""Sweeps: many trainings that differ in a few settings, as one object."""
