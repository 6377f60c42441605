"""Where cells run: in this process, or side by side in processes."""
