"""Protocols that train several networks: the published studies, from public names."""
