"""Foreign text, made fit to be shown.

Names, reasons and doubts come from files, servers and environments. Shown as they are, they can
move the cursor of a terminal, turn the order of its letters around or fill it.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_NAME, LONGEST_LINE = 200, 2000  # characters

_NUMBER = re.compile(r"\W*\d[\d.,_]*(?:[eE][-+]?\d+)?\W*")


def printable(text: str) -> str:
    r"""``text`` in one line: breaks become spaces, and what cannot be printed is shown escaped.

    Controls of terminals, marks of direction, characters without a width and halves of surrogate
    pairs look as they do in Python: ``\x1b``, ``\u202e``, ``\ud800``.
    """
    line = " ".join(text.splitlines())
    return line if line.isprintable() else "".join(map(_visible, line))


def for_terminal(text: str) -> str:
    """``text`` for a terminal: ``printable``, and its names and itself of a bounded length.

    A name is what stands between spaces and slashes; what is too long loses its middle. Numbers
    keep all their digits, for a shorter one would be another number.
    """
    line = re.sub(rf"[^\s/]{{{LONGEST_NAME + 1},}}", _shorten, printable(text))
    if len(line) <= LONGEST_LINE:
        return line
    half = (LONGEST_LINE - 5) // 2
    # Whole words alone, so that no number is cut.
    return f"{line[:half].rsplit(' ', 1)[0]} ... {line[-half:].split(' ', 1)[-1]}"


def reason_of(error: BaseException) -> str:
    """The message of ``error`` in one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def _visible(character: str) -> str:
    # Spaces of other widths than the usual one are not "printable" to Python, but do no harm.
    shown = character.isprintable() or unicodedata.category(character) == "Zs"
    return character if shown else character.encode("unicode_escape").decode()


def _shorten(name: re.Match[str]) -> str:
    if _NUMBER.fullmatch(name[0]):
        return name[0]
    half = (LONGEST_NAME - 3) // 2
    return f"{name[0][:half]}...{name[0][-half:]}"
