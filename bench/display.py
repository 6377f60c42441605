"""How runs look on a terminal: live bars there, plain lines everywhere else."""

from __future__ import annotations

import time
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


class Display(Protocol):
    """Where long work tells a person how it goes; parts may run side by side."""

    def started(self, name: str) -> None:
        """A part starts."""
        ...

    def progress(self, name: str, done: int, total: int) -> None:
        """The running part ``name`` has done ``done`` of ``total``."""
        ...

    def finished(self, name: str, text: str) -> None:
        """A part is done; ``text`` says with what result."""
        ...

    def note(self, line: str) -> None:
        """Something worth a line."""
        ...


class _Part(NamedTuple):
    start: float
    bar: TaskID


class Bars:
    """A `Display` of a bar for the whole and one for each part that runs; a context manager."""

    def __init__(self, unit: str, total: int, console: Console | None = None) -> None:
        """``total`` parts, which ``unit`` names, such as ``cells``."""
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description:<34.34}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._whole = self._progress.add_task(unit, total=total)
        self._total, self._num_finished = total, 0
        self._parts: dict[str, _Part] = {}

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bars."""
        self._progress.stop()

    def started(self, name: str) -> None:
        """Part ``name`` starts."""
        self._parts[name] = _Part(time.monotonic(), self._progress.add_task(name, total=None))

    def progress(self, name: str, done: int, total: int) -> None:
        """The running part ``name`` has done ``done`` of ``total``."""
        if name in self._parts:  # word of a part that has ended may come late
            self._progress.update(self._parts[name].bar, completed=done, total=total)

    def finished(self, name: str, text: str) -> None:
        """Part ``name`` is done; ``text`` says with what result."""
        part = self._parts.pop(name)
        self._progress.remove_task(part.bar)
        self._progress.advance(self._whole)
        self._num_finished += 1
        counter = f"[{self._num_finished:>{len(str(self._total))}}/{self._total}]"
        seconds = time.monotonic() - part.start
        self._console.print(f"{counter} {name:<36} {text:>16} {seconds:7.1f} s", markup=False)

    def note(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, markup=False)
