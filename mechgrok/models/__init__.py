"""Hooked networks with TransformerLens names, and readers and converters for other people's networks."""
