"""Simulated worlds: what a policy acts in."""
