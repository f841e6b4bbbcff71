"""A log that goes on with entries which were recorded elsewhere, byte for byte."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from certledger.errors import InvalidValue
from certledger.eventstore.append import entry_row
from certledger.eventstore.event import Event
from certledger.eventstore.merkle import Frontier


class Continuation:
    """Where a log ends, and what its order demands of the entries that follow."""

    def __init__(
        self, origin: str, frontier: Frontier | None = None, recorded_at: datetime | None = None
    ) -> None:
        """Go on from a tree and the time of its last entry; without them from the beginning."""
        self.origin = origin
        self.frontier = Frontier() if frontier is None else frontier
        self.recorded_at = recorded_at
        """When the last entry was recorded, in UTC; None while there is none."""

    @property
    def size(self) -> int:
        """The next position."""
        return self.frontier.size

    def row(self, event: Event, entry: bytes) -> dict[str, Any]:
        """Return the row of the next entry, by which the tree grows.

        Raises `InvalidValue` where the order of the log does not allow it; then nothing grows.
        """
        self._check_place(event)
        self.recorded_at = event.recordedtime
        return entry_row(event, entry, self.frontier)

    def _check_place(self, event: Event) -> None:
        if event.source != self.origin:
            message = f"it is of the log {event.source!r}, the others are of {self.origin!r}"
            raise InvalidValue(message)
        if event.seq != self.size:
            message = f"it has the sequence {event.seq} where {self.size} is due"
            raise InvalidValue(message)
        if self.recorded_at is not None and event.recordedtime < self.recorded_at:
            message = "its recordedtime is before that of the entry before"
            raise InvalidValue(message)
