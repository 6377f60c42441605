"""Displays of runs: live bars on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from bench.screen import USUAL_WIDTH, shorten
from envs.text import for_terminal


class Display(Protocol):
    """A display that long work reports to; parts may run side by side."""

    def started(self, name: str) -> None:
        """A part starts."""
        ...

    def progress(self, name: str, done: int, total: int) -> None:
        """The running part ``name`` has done ``done`` of ``total``."""
        ...

    def scored(self, name: str, score: float) -> None:
        """The running part ``name`` was evaluated; ``score`` is its mean over seeds."""
        ...

    def finished(self, name: str, text: str) -> None:
        """A part is done; ``text`` says with what result."""
        ...

    def failed(self, name: str, reason: str) -> None:
        """A part ended without a result; ``reason`` is a line that names it."""
        ...

    def note(self, line: str) -> None:
        """Something worth a line."""
        ...


# At 80 columns these leave room for any number beside the name, and no number is ever cut.
_NAME_WIDTH, _BAR_NAME_WIDTH = 36, 32


class _Part(NamedTuple):
    start: float
    bar: TaskID


class Bars:
    """A `Display` of a bar for the whole and one for each part that runs; a context manager."""

    def __init__(self, unit: str, total: int, console: Console | None = None) -> None:
        """``total`` parts, which ``unit`` names, such as ``cells``."""
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn(f"{{task.description:<{_BAR_NAME_WIDTH}}}", markup=False),
            BarColumn(bar_width=5),
            MofNCompleteColumn(),
            _RateColumn(),
            TextColumn("{task.fields[score]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._unit, self._total = unit, total
        self._num_finished, self._num_failed = 0, 0
        self._whole = self._progress.add_task(unit, total=total, score="")
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
        description = shorten(for_terminal(name), _BAR_NAME_WIDTH)
        bar = self._progress.add_task(description, total=None, score="")
        self._parts[name] = _Part(time.monotonic(), bar)
        self._count()

    def progress(self, name: str, done: int, total: int) -> None:
        """The running part ``name`` has done ``done`` of ``total``."""
        if name in self._parts:  # word of a part that has ended may come late
            self._progress.update(self._parts[name].bar, completed=done, total=total)

    def scored(self, name: str, score: float) -> None:
        """Show the score of the running part ``name`` beside its bar."""
        if name in self._parts:
            self._progress.update(self._parts[name].bar, score=f"{score:z.1f}")

    def finished(self, name: str, text: str) -> None:
        """Part ``name`` is done; ``text`` says with what result."""
        self._end(name, text)

    def failed(self, name: str, reason: str) -> None:
        """Part ``name`` failed."""
        self._num_failed += 1
        self._end(name, "failed")
        self.note(reason)

    def _end(self, name: str, text: str) -> None:
        part = self._parts.pop(name)
        self._progress.remove_task(part.bar)
        self._progress.advance(self._whole)
        self._num_finished += 1
        self._count()
        counter = f"[{self._num_finished:>{len(str(self._total))}}/{self._total}]"
        numbers = f"{text:>16} {time.monotonic() - part.start:7.1f} s"
        width = min(_NAME_WIDTH, USUAL_WIDTH - len(counter) - len(numbers) - 2)
        line = f"{counter} {shorten(name, width):<{width}} {numbers}"
        self._print(line)

    def _count(self) -> None:
        """Say on the first bar how many run, and how many have failed."""
        text = f"{self._unit}, {len(self._parts)} running, {self._num_failed} failed"
        self._progress.update(self._whole, description=text)

    def note(self, line: str) -> None:
        """A line that stays."""
        self._print(line)

    def _print(self, line: str) -> None:
        # A Text, for a string may hold markup, as [red], and names of pictures, as :bomb:.
        self._console.print(Text(for_terminal(line)))


class _RateColumn(ProgressColumn):
    """The speed of a part in words, once it is known."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed and task.speed >= 1 else "")


class JsonLines:
    """A `Display` of a JSON object a line; a context manager.

    Each has ``event`` (the name of a method of `Display`, or at last ``end``), ``seconds`` since
    the start by a clock that never goes back, and what the method is told.
    """

    def __init__(self, unit: str, total: int, stream: TextIO | None = None) -> None:
        """``total`` parts, which ``unit`` names; to standard output, or to ``stream``."""
        self._start = time.monotonic()
        self._unit, self._total = unit, total
        self._stream = sys.stdout if stream is None else stream
        self._ended = {"finished": 0, "failed": 0}

    def __enter__(self) -> Self:
        """Say what is to be done."""
        self._write("start", unit=self._unit, total=self._total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say how many parts ended, and how."""
        self._write("end", unit=self._unit, total=self._total, **self._ended)

    def started(self, name: str) -> None:
        """Part ``name`` starts."""
        self._write("started", name=name)

    def progress(self, name: str, done: int, total: int) -> None:
        """The running part ``name`` has done ``done`` of ``total``."""
        self._write("progress", name=name, done=done, total=total)

    def scored(self, name: str, score: float) -> None:
        """The running part ``name`` was evaluated."""
        self._write("scored", name=name, score=round(score, 3))

    def finished(self, name: str, text: str) -> None:
        """Part ``name`` is done."""
        self._ended["finished"] += 1
        self._write("finished", name=name, text=text)

    def failed(self, name: str, reason: str) -> None:
        """Part ``name`` failed."""
        self._ended["failed"] += 1
        self._write("failed", name=name, reason=reason)

    def note(self, line: str) -> None:
        """Something worth a line."""
        self._write("note", line=line)

    def _write(self, event: str, **told: Any) -> None:
        seconds = round(time.monotonic() - self._start, 3)
        line = json.dumps({"event": event, "seconds": seconds} | told)
        self._stream.write(f"{line}\n")
        self._stream.flush()
