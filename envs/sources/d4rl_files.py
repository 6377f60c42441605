"""The files of D4RL's ``-v2`` tasks: where they are published, their sizes and SHA-256 sums.

Sources: addresses, Farama-Foundation/D4RL@89141a6 ``d4rl/infos.py``; sizes and sums,
tensorflow/datasets ``tensorflow_datasets/d4rl/*/checksums.tsv``, which lacks antmaze-medium-play.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from envs.tasks import TASKS

ADDRESS = "http://rail.eecs.berkeley.edu/datasets/offline_rl/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file of D4RL.

    Attributes:
        path: where it is below ``ADDRESS``.
        num_bytes: its size, or None where no size is published.
        sha256: its checksum in hexadecimal, or None where none is published.
    """

    path: str
    num_bytes: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The name that D4RL gives the file on a user's disk."""
        return self.path.rpartition("/")[2]


def dataset_folder() -> Path:
    """D4RL's own folder: ``$D4RL_DATASET_DIR``, or ``~/.d4rl/datasets``."""
    return Path(os.environ.get("D4RL_DATASET_DIR") or Path.home() / ".d4rl" / "datasets")


_SUMS = {
    "halfcheetah-medium": (
        237727262,
        "41324e8487a9556d8cfa4538827f8937f4d63dae3030825ebc9f3a726ed08ca0",
    ),
    "halfcheetah-medium-replay": (
        59448533,
        "48d494a4770c11f48260736dec090b78bdca8375647ed4d24bfa5b6610c7f683",
    ),
    "halfcheetah-medium-expert": (
        474567252,
        "015db75dae5bbe8e94029b71fa0bafc2073365df0c94744e71031189f3f79c06",
    ),
    "hopper-medium": (
        152756557,
        "5bdf1bc4a713c82941de44633df669b36c89850b652a25985166796d25cf71a0",
    ),
    "hopper-medium-replay": (
        75854457,
        "e121c5f7c9857a307baa9edc6a2c3b48e85fedb9ac316ecddd0f48ca7ef4e39b",
    ),
    "hopper-medium-expert": (
        304537315,
        "9d51ad87f8c905be3880d84c6140bcdb7fbf39a19e046a237f238ba34fec9e26",
    ),
    "walker2d-medium": (
        232254996,
        "cf00f43add04c17fdfc2958dd581dea0851b2e5bedbe6fda073758a8f841aeda",
    ),
    "walker2d-medium-replay": (
        86323963,
        "e75de96a4f77acf7d4e0d6fdf0d7ccb177c26c44bb4388e4fd99f543ccfa18db",
    ),
    "walker2d-medium-expert": (
        462197079,
        "6b8d7f868c45bbaedf460be797fb7271b46dee6ebe45fe7a64319f2005b59a04",
    ),
    "antmaze-umaze": (
        232532949,
        "5ef15257771c50ef4d23c7de001750e96c8bb5d9b6a5e4a821dcfb3065fbd130",
    ),
    "antmaze-umaze-diverse": (
        230854272,
        "c771dd63963cd7d9f55f24a6d809064f6b82250a6aeac4c9d13f9a1d06e8c932",
    ),
    "antmaze-medium-diverse": (
        231095166,
        "ad9dcbac05d1f8744a7a216083f513662f43f64f28a4a5eb225e9811902dfae7",
    ),
    "antmaze-large-play": (
        230880653,
        "6d353df2457829925d7f9d4b0215587469908bd57478ea76f16417cfa944f471",
    ),
    "antmaze-large-diverse": (
        231183710,
        "84f775eb7956ea9cc766704710dc520a8ab357adc7522ade47f556f0e335e284",
    ),
}

# By task.
FILES = {
    name: PublishedFile(
        path=task.kind.d4rl_path(task.environment, task.data),
        num_bytes=_SUMS[name][0] if name in _SUMS else None,
        sha256=_SUMS[name][1] if name in _SUMS else None,
    )
    for name, task in TASKS.items()
    if task.kind.d4rl_path is not None
}
