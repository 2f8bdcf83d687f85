"""Hooked networks with TransformerLens names, and the ways to read and convert other people's."""
