"""Files whose bytes are not those that were written, and what readers may answer to them."""

import contextlib

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from envs.errors import InputError

READERS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def damaged(draw, data):
    """``data`` with a piece cut out, a piece put in, or some bytes replaced."""
    start = draw(st.integers(0, len(data)))
    length = draw(st.integers(0, 40))
    return data[:start] + draw(st.binary(max_size=20)) + data[start + length :]


@contextlib.contextmanager
def one_line_at_most():
    """What is inside may refuse, and then in one line."""
    lines = []
    try:
        yield
    except InputError as refusal:
        lines = str(refusal).splitlines()
    assert len(lines) <= 1
