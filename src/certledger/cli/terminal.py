"""The user's terminal: one-line messages on stderr, widths, colours, progress bars.

Colour and bars appear on a terminal only; `NO_COLOR` switches every colour and style off.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Final, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from certledger.cli.text import safe

_UNLIMITED: Final = 100_000
_DELAY: Final = 1.0
"""A bar appears only where the work takes longer than this many seconds."""

Item = TypeVar("Item")


class Terminal:
    """The streams of one run of the command line."""

    def __init__(self) -> None:
        self.out = _console(sys.stdout)
        self.err = _console(sys.stderr)

    def error(self, text: str) -> None:
        """Say on one line of stderr what went wrong."""
        self._say("error", "bold red", text)

    def warn(self, text: str) -> None:
        """Say on one line of stderr what the user should know."""
        self._say("warning", "yellow", text)

    def refused(self, text: str) -> None:
        """Say on one line of stderr which input was refused, and why."""
        self._say("refused", "red", text)

    def note(self, text: str) -> None:
        """Say something harmless on one line of stderr."""
        self.err.print(Text(safe(text)), soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """Print one line on stdout, safe but never wrapped."""
        self.out.print(Text(safe(text), style=style), soft_wrap=True)

    def _say(self, kind: str, style: str, text: str) -> None:
        line = Text.assemble((f"{kind}:", style), " ", safe(text))
        self.err.print(line, soft_wrap=True)

    @contextmanager
    def bar(self, description: str) -> Iterator[Bar]:
        """Lend a progress bar, shown on stderr where that is a terminal."""
        bar = Bar(self.err, description)
        try:
            yield bar
        finally:
            bar.hide()


class Bar:
    """A progress bar that appears when the work turns out to be long."""

    def __init__(self, console: Console, description: str) -> None:
        self._console = console
        self._description = description
        self._started = time.monotonic()
        self._progress: Progress | None = None

    def __call__(self, done: int, total: int | None) -> None:
        """Move the bar; `total` may grow, None where nobody knows it yet."""
        if not self._console.is_terminal or time.monotonic() - self._started < _DELAY:
            return
        if self._progress is None:
            self._progress = _make_progress(self._console)
            self._progress.add_task(self._description, total=total)
            self._progress.start()
        task = self._progress.task_ids[0]
        self._progress.update(task, completed=done, total=total)

    def hide(self) -> None:
        """Take the bar off the screen until it is moved again."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def aside(self, items: Iterable[Item]) -> Iterator[Item]:
        """Pass items on, out of the way while they are printed."""
        for item in items:
            self.hide()
            yield item


def _make_progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # `redirect_stdout` would send the listing to stderr while the bar is up.
    return Progress(*columns, console=console, transient=True, redirect_stdout=False)


def _console(stream: IO[str]) -> Console:
    on_terminal = stream.isatty()
    # Off a terminal a table is as wide as what it holds: cutting would lose what is piped on.
    width = None if on_terminal or "COLUMNS" in os.environ else _UNLIMITED
    return Console(
        file=stream,
        force_terminal=on_terminal,
        color_system="auto" if on_terminal and not os.environ.get("NO_COLOR") else None,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
    )
