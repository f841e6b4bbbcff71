"""Going through the log in stream order: versions, and the rules of the lifecycle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from certledger.errors import IllegalTransition, LogCorrupt, UnknownEventType
from certledger.eventstore.event import Event
from certledger.eventstore.events import CrlPublished, Issued
from certledger.eventstore.lifecycle import State, evolve
from certledger.projections.verifying.finding import Finding, serial_in
from certledger.projections.verifying.places import UNREADABLE, Place
from certledger.projections.verifying.stored import told


class StreamCheck:
    """Checks one stream after another, each from its first event to its last."""

    def __init__(self) -> None:
        self._subject: str | None = None
        self._begin("")

    def _begin(self, subject: str) -> None:
        self._subject = subject
        self._serial = serial_in(subject)
        self._due = 0
        self._state = State()
        self._certain = True
        """Whether the state follows from all events so far, so that rules can be applied."""
        self._number = -1
        self._sha256: str | None = None

    def step(self, place: Place, event: Event | None) -> Iterator[Finding]:
        """Take the next event in stream order; None where it need not or cannot be looked at."""
        if place.subject != self._subject:
            self._begin(place.subject)
        yield from self._check_version(place)
        if event is None:
            self._certain = self._certain and place.kind != UNREADABLE
            return
        if isinstance(event.data, CrlPublished):
            yield from self._check_number(place.seq, int(event.data.number))
            return
        if isinstance(event.data, Issued):
            yield from self._check_same(place.seq, event.data)
        if self._certain:
            yield from self._evolve(place.seq, event)

    def _check_version(self, place: Place) -> Iterator[Finding]:
        if place.streamversion != self._due:
            message = (
                f"it is event {place.streamversion} of {place.subject}, where {self._due} is due"
            )
            yield Finding("finding", "streamversion", place.seq, message, self._serial)
            self._certain = False
        self._due = place.streamversion + 1

    def _evolve(self, seq: int, event: Event) -> Iterator[Finding]:
        try:
            self._state = evolve(self._state, event)
        except (IllegalTransition, LogCorrupt) as error:
            yield Finding("finding", "lifecycle", seq, told(error), self._serial)
            self._state = replace(self._state, version=event.streamversion + 1)
        except UnknownEventType:
            self._certain = False

    def _check_number(self, seq: int, number: int) -> Iterator[Finding]:
        if number <= self._number:
            message = f"CRL number {number} after {self._number}: numbers only grow"
            yield Finding("finding", "lifecycle", seq, message)
        self._number = max(number, self._number)

    def _check_same(self, seq: int, data: Issued) -> Iterator[Finding]:
        if self._sha256 not in {None, data.sha256}:
            message = (
                f"serial {data.serial_number} was used before for another certificate "
                f"(SHA-256 {str(self._sha256)[:16]}…, now {data.sha256[:16]}…)"
            )
            yield Finding("note", "reused-serial", seq, message, self._serial)
        self._sha256 = data.sha256
