"""The harness: seeds, training, evaluation, the grid of cells, results and the command line."""

import os

# One thread to a program on a processor: XLA splits sums among its threads, so that with more of
# them the same cell would end with other numbers on another machine. Processors are put to use by
# cells side by side. XLA reads this when it makes its pool of threads, at JAX's first computation.
os.environ.setdefault("NPROC", "1")
# numpy's matrix products likewise. With two threads each, two processes on two processors also wait
# for each other: 80,000 rows of hopper-medium took 89 s to collect, and 12 s with one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
