"""The named sizes of a run, from seconds a cell to the published size.

How large a cell is in each of them, a family of tasks says itself (``envs.family.Family.sizes``).
"""

from __future__ import annotations

import dataclasses

from envs.family import Size
from envs.tasks import EVERY_FAMILY, look_up


@dataclasses.dataclass(frozen=True)
class Profile:
    """A named size of the whole grid.

    Attributes:
        name: of the profile.
        num_seeds: seeds 0, 1, ... trained side by side.
        purpose: one line for ``rl-or-bc list profiles``.
    """

    name: str
    num_seeds: int
    purpose: str

    @property
    def sizes(self) -> dict[str, Size]:
        """The size of a cell, by family."""
        return {name: family.sizes[self.name] for name, family in EVERY_FAMILY.items()}


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", 2, "tests and CI: seconds a cell, learns next to nothing"),
        Profile("quick", 3, "the default: the whole grid in minutes on two cores"),
        Profile("cpu", 3, "the whole grid in a night on two cores"),
        Profile("paper", 10, "published steps, widths, batches; for an accelerator"),
    )
}


def get_profile(name: str) -> Profile:
    """The profile called ``name``.

    Raises:
        InputError: no such profile; the nearest name is in the message.
    """
    return look_up("profile", name, PROFILES)
