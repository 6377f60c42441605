"""The harness: seeds, training, evaluation, the grid of cells, results and the command line."""

import os

# One thread to a program on a processor: XLA splits sums among its threads, so that with more of
# them the same cell would end with other numbers on another machine. Processors are put to use by
# cells side by side. XLA reads this when it makes its pool of threads, at JAX's first computation.
os.environ.setdefault("NPROC", "1")
# So do numpy's products: processes side by side would wait for each other's threads. Measured on two
# processors: DATA_SECONDS
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
