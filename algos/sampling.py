"""From a view to a batch, on the device."""

from __future__ import annotations

from typing import Any

import jax

from algos.core import Sample


def uniform(batch_size: int) -> Sample:
    """Rows drawn uniformly with replacement: every leaf ``[N, ...]`` becomes ``[B, ...]``."""

    def sample(key: jax.Array, view: Any) -> Any:
        num_rows = len(jax.tree.leaves(view)[0])
        index = jax.random.randint(key, (batch_size,), 0, num_rows)
        return jax.tree.map(lambda leaf: leaf[index], view)

    return sample
