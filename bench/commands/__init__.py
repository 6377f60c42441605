"""The commands, a file each: its arguments and what it does with them."""
