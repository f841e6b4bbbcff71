"""What must hold from each entry to the next: one origin, and times that do not go back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from certledger.projections.verifying.entry import CheckedEntry
from certledger.projections.verifying.finding import Finding, serial_in
from certledger.projections.verifying.stored import shown


class OrderCheck:
    """Takes the entries in the order of the log."""

    def __init__(self, origin: str | None) -> None:
        """`origin` is the head's; None where it states none: then that of the first entry."""
        self._head = origin
        self._origin = origin
        self._certain = False
        """Whether an entry was of this origin."""
        self._waiting: CheckedEntry | None = None
        """The first entry, of another origin than the head: the next one decides who is wrong."""
        self._recorded: Any = None

    def step(self, entry: CheckedEntry) -> Iterator[Finding]:
        """Take the next entry."""
        if entry.source is None:
            return
        yield from self._check_origin(entry)
        yield from self._check_time(entry)

    def finish(self) -> Iterator[Finding]:
        """Tell what no further entry decided."""
        if self._waiting is not None:
            yield self._foreign(self._waiting)

    def _check_time(self, entry: CheckedEntry) -> Iterator[Finding]:
        if self._recorded is not None and entry.recorded < self._recorded:
            message = f"recorded at {entry.recorded}, before the entry before it ({self._recorded})"
            yield Finding("finding", "order", entry.seq, message, serial_in(entry.subject))
        self._recorded = entry.recorded

    def _check_origin(self, entry: CheckedEntry) -> Iterator[Finding]:
        waiting, self._waiting = self._waiting, None
        if self._origin is None:
            self._origin = entry.source
        if entry.source == self._origin:
            self._certain = True
        elif self._certain:
            yield self._foreign(entry)
        elif waiting is None:
            self._waiting = entry
            return
        elif entry.source == waiting.source:
            message = (
                f"the head states the origin {shown(self._head)}, the entries {shown(entry.source)}"
            )
            yield Finding("finding", "head-origin", None, message)
            self._origin, self._certain = entry.source, True
            return
        else:
            yield self._foreign(entry)
        if waiting is not None:
            yield self._foreign(waiting)

    def _foreign(self, entry: CheckedEntry) -> Finding:
        message = f"its source is {shown(entry.source)}, the origin is {shown(self._origin)}"
        return Finding("finding", "source", entry.seq, message, serial_in(entry.subject))
