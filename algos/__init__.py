"""The methods of Table 1, one file each, as pure functions without a word of seeds or files."""
