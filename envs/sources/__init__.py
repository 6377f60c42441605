"""Readers of data: one for each source, and the registry of them."""
