"""Protocols that train several networks: the published studies, written with the public API."""
