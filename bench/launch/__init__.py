"""Launchers of cells: in this process, or side by side in processes."""
