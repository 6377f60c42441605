"""Seeds in words, and the groups in which a cell's seeds were trained side by side.

Each group has a folder of its own below the cell's, named by its seeds, such as ``seeds-0-2``. A
cell that has seeds 0 to 2 and is asked for 0 to 4 trains a second group, 3 and 4. Groups are kept
apart because XLA compiles a program for a number of seeds, and another program may round otherwise:
a seed's numbers can depend on how many were trained with it, though on nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from envs import files
from envs.errors import InputError

Seeds = tuple[int, ...]

LARGEST = 2**32 - 1  # keys are made of 32 bits
MOST = 1000  # at a time
_LONGEST = 200  # characters in words; a folder's name is at most 255 bytes
_RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?", re.ASCII)


def parse(words: Iterable[str]) -> Seeds:
    """The seeds that ``words`` name, rising: single ones and ranges such as ``10-12``.

    Raises:
        InputError: a word is neither, a range falls, a seed is too large, or there are too many.
    """
    seeds: set[int] = set()
    for word in (part for text in words for part in text.split(",")):
        matched = _RANGE.fullmatch(word)
        if matched is None:
            raise InputError(f"seeds are numbers or ranges such as 10-12, got {word!r}")
        first, last = int(matched[1]), int(matched[2] or matched[1])
        if last < first:
            raise InputError(f"seeds {word!r}: a range begins with its smaller number")
        if last - first >= MOST:
            raise InputError(f"seeds {word!r}: at most {MOST:,} at a time")
        seeds |= set(range(first, last + 1))
    return require(tuple(sorted(seeds)))


def require(seeds: Seeds) -> Seeds:
    """``seeds``, if a group can have them.

    Raises:
        InputError: naming the value and the rule.
    """
    if not seeds or list(seeds) != sorted(set(seeds)):
        raise InputError(f"seeds must be one or more, each once and rising, got {seeds}")
    for seed in (seeds[0], seeds[-1]):
        if not 0 <= seed <= LARGEST:
            raise InputError(f"seeds must be between 0 and {LARGEST}, got {seed}")
    if len(seeds) > MOST:
        raise InputError(f"at most {MOST:,} seeds at a time, got {len(seeds):,}")
    if len(in_words(seeds)) > _LONGEST:
        raise InputError(f"{len(seeds)} seeds with gaps are too many at a time; name ranges")
    return seeds


def in_words(seeds: Seeds) -> str:
    """Single seeds and ranges, such as ``0-2,7``; what `parse` takes."""
    there = set(seeds)
    starts = [seed for seed in seeds if seed - 1 not in there]
    ends = [seed for seed in seeds if seed + 1 not in there]
    pairs = zip(starts, ends, strict=True)
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in pairs)


def folder_of(cell_folder: Path, seeds: Seeds) -> Path:
    """The folder of the group ``seeds`` of the cell."""
    return cell_folder / f"seeds-{in_words(seeds)}"


def is_finished(folder: Path) -> bool:
    """True if the group of that folder was run to its end."""
    return (folder / "DONE").exists()


def to_run(cell_folder: Path, seeds: Seeds) -> list[Seeds]:
    """Groups that together have all of ``seeds``.

    Finished ones come first, even if they have other seeds as well. Unfinished ones that have none
    but missing seeds are to be gone on with, and the seeds that are left make a new group.
    """
    there = _find(cell_folder)
    finished = [group for group in there if is_finished(folder_of(cell_folder, group))]
    missing, chosen = set(seeds), []
    for group in [*finished, *(group for group in there if group not in finished)]:
        if missing.issuperset(group) or (group in finished and missing.intersection(group)):
            chosen.append(group)
            missing.difference_update(group)
    return chosen + ([tuple(sorted(missing))] if missing else [])


def finished(cell_folder: Path, seeds: Sequence[int] | None = None) -> dict[Seeds, Path]:
    """Which of ``seeds``, or of all, are to be read from which finished group's folder.

    Two runs at a time may have trained one seed twice; the first group in order then counts.
    """
    found: dict[Seeds, Path] = {}
    missing = None if seeds is None else set(seeds)
    known: set[int] = set()
    for group in _find(cell_folder):
        folder = folder_of(cell_folder, group)
        mine = [s for s in group if s not in known and (missing is None or s in missing)]
        if mine and is_finished(folder):
            found[tuple(mine)] = folder
            known.update(mine)
    return found


def make(cell_folder: Path, groups: Iterable[Seeds]) -> None:
    """Make the folders of ``groups``, by which other processes see that somebody has them."""
    for group in groups:
        files.make_folder(folder_of(cell_folder, group))


def _find(cell_folder: Path) -> list[Seeds]:
    """The groups that are there, those with the smallest seeds first."""
    found = []
    for path in cell_folder.glob("seeds-*"):
        try:
            group = parse([path.name.removeprefix("seeds-")])
        except InputError:
            continue  # not ours
        if folder_of(cell_folder, group).name == path.name:
            found.append(group)
    return sorted(found)
