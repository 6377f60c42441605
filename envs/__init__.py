"""Tasks: what the data look like, where they come from, and the simulators that score a policy."""
