"""The harness: seeds, training, evaluation, the grid of cells, results and the command line."""
