"""Errors that a user has to know of."""

from __future__ import annotations

from envs.text import for_terminal


class InputError(Exception):
    """A user's mistake: its message is one line that names the value and the fix.

    No ValueError, which the parser of the command line would put into a box of its own. Whatever
    a damaged file or a server put into it, the message is fit for a terminal.
    """

    def __init__(self, message: str) -> None:
        """Make one line of ``message``, as ``envs.text.terminal`` does."""
        super().__init__(for_terminal(message))


class EnvironmentFault(InputError):
    """An environment that is not ours cannot be made, or does what no environment may.

    Attributes:
        lane: which of the environments that are stepped together, if it is one of them.
        step: which step of the lane's episode, from 1; 0 is the reset.
        reason: what went wrong, without the environment's name and the step.
    """

    def __init__(
        self,
        message: str,
        *,
        lane: int | None = None,
        step: int | None = None,
        reason: str = "",
    ) -> None:
        """Take the ``message``, which names the environment, and where it happened."""
        super().__init__(message)
        self.lane, self.step, self.reason = lane, step, reason


class Fault(Exception):
    """One cell cannot be finished, others can: its message is one line that says why."""

    def __init__(self, message: str) -> None:
        """Join the lines of ``message``."""
        super().__init__(" ".join(message.splitlines()))
