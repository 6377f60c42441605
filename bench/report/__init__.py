"""Scores as tables, pages, pictures and claims. Imports no JAX."""
