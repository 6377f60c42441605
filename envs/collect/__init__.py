"""Collection of the regenerated datasets by behaviour policies."""
