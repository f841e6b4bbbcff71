"""The entries of a file, one a line, read strictly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from certledger.errors import ImportRejected, InvalidEvent
from certledger.eventstore.event import MAX_ENTRY_BYTES, Event, read_event


@dataclass(frozen=True, slots=True)
class Line:
    """An entry, and where the file has it."""

    number: int
    """From 1."""
    entry: bytes
    event: Event


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the entries of a file, never more than one line of it in memory.

    Raises `ImportRejected` at a line that is no valid entry, or for a file without any; `OSError`.
    """
    number = 0
    with path.open("rb") as stream:
        lines = iter(lambda: stream.readline(MAX_ENTRY_BYTES + 2), b"")
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                raise ImportRejected(path, number, "the line is cut off, or too long")
            entry = line.removesuffix(b"\n")
            try:
                event = read_event(entry)
            except InvalidEvent as error:
                raise ImportRejected(path, number, str(error)) from error
            yield Line(number, entry, event)
    if number == 0:
        raise ImportRejected(path, 1, "the file holds no entry")
