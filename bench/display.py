"""How runs look on a terminal: live bars there, plain lines everywhere else."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bars:
    """A bar for the whole and a bar for the part that is running; a context manager."""

    def __init__(self, unit: str, console: Console | None = None) -> None:
        """``unit`` is what the whole counts, such as ``cells``."""
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._start = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description:<34.34}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._whole = self._progress.add_task(unit, total=None)
        self._part = self._progress.add_task("", total=None)

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

    def started(self, name: str, number: int, total: int) -> None:
        """Part ``name`` starts, the ``number``-th of ``total``."""
        self._start = time.monotonic()
        self._number, self._total = number, total
        self._progress.update(self._whole, completed=number - 1, total=total)
        self._progress.reset(self._part, description=name, total=None)

    def progress(self, done: int, total: int) -> None:
        """The running part has done ``done`` of ``total``."""
        self._progress.update(self._part, completed=done, total=total)

    def finished(self, name: str, text: str) -> None:
        """The running part is done; ``text`` says with what result."""
        seconds = time.monotonic() - self._start
        self._progress.update(self._whole, completed=self._number)
        counter = f"[{self._number:>{len(str(self._total))}}/{self._total}]"
        self._console.print(f"{counter} {name:<36} {text:>16} {seconds:7.1f} s", markup=False)

    def note(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, markup=False)
