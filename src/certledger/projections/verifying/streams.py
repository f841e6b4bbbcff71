"""Going through the log in stream order: versions, and the rules of the lifecycle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    select,
    tuple_,
)

from certledger.errors import IllegalTransition, InvalidEvent, LogCorrupt, UnknownEventType
from certledger.eventstore.event import Event, load_event
from certledger.eventstore.events import CrlPublished, Issued
from certledger.eventstore.lifecycle import State, evolve
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import Position, log_entry
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.stored import PAGE, StoredEntry, told

_LENGTH: Final = 255
_INT32: Final = 2**31

# Filled from the bytes of the entries, not from their columns, which anybody can have changed.
stream_index: Final = Table(
    "scratch_streams",
    MetaData(),
    Column("subject", String(_LENGTH), primary_key=True),
    Column("streamversion", Integer, primary_key=True, autoincrement=False),
    Column("seq", Position, primary_key=True, autoincrement=False),
    # 0: unreadable, 1: to be looked at, 2: of no interest where it stands alone in its stream.
    Column("kind", Integer, nullable=False),
    prefixes=["TEMPORARY"],
)
_UNREADABLE, _ORDINARY, _FIRST = range(3)

_insert = Statement(insert(stream_index))
_key = tuple_(stream_index.c.subject, stream_index.c.streamversion, stream_index.c.seq)
_page = (
    select(stream_index)
    .where(_key > tuple_(bindparam("subject"), bindparam("streamversion"), bindparam("seq")))
    .order_by(*stream_index.primary_key)
    .limit(PAGE)
)
_entry = Statement(select(log_entry.c.entry).where(log_entry.c.seq == bindparam("seq")))


class Place(NamedTuple):
    """Where an entry stands in its stream."""

    subject: str
    streamversion: int
    seq: int
    kind: int


def place_of(row: StoredEntry, event: Event | None) -> Place | None:
    """Return an entry's place in its stream; of an unreadable one the place that its columns say,
    None where they say none.
    """
    if event is not None:
        first = event.streamversion == 0 and isinstance(event.data, Issued)
        kind = _FIRST if first else _ORDINARY
        return Place(event.subject, event.streamversion, row.seq, kind)
    subject, version = row.subject, row.streamversion
    if isinstance(subject, str) and isinstance(version, int) and 0 <= version < _INT32:
        return Place(subject[:_LENGTH], version, row.seq, _UNREADABLE)
    return None


def add_places(connection: Connection, places: Sequence[Place]) -> None:
    """Write places into the temporary table."""
    _insert.run_many(connection, [place._asdict() for place in places])


def read_places(connection: Connection, after: Place | None) -> list[tuple[Place, Event | None]]:
    """Return the next page in stream order, with the events that the checks need."""
    last = after or Place("", -1, -1, 0)
    places = [Place(*row) for row in connection.execute(_page, last._asdict())]
    count = Counter(place.subject for place in places)
    # The first and the last stream of a page may go on in its neighbours.
    whole = {last.subject, *(place.subject for place in places[-1:])}
    return [
        (place, None)
        if place.kind == _FIRST and count[place.subject] == 1 and place.subject not in whole
        else (place, _load(connection, place))
        for place in places
    ]


def _load(connection: Connection, place: Place) -> Event | None:
    for (entry,) in _entry.rows(connection, seq=place.seq):
        try:
            return load_event(entry) if place.kind != _UNREADABLE else None
        except (InvalidEvent, TypeError):
            return None  # changed since it was read: that is told of by the next verification
    return None


class StreamCheck:
    """Checks one stream after another, each from its first event to its last."""

    def __init__(self) -> None:
        self._subject: str | None = None
        self._begin("")

    def _begin(self, subject: str) -> None:
        self._subject = subject
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
        if place.streamversion != self._due:
            message = (
                f"it is event {place.streamversion} of {place.subject}, where {self._due} is due"
            )
            yield Finding("finding", "streamversion", place.seq, message)
            self._certain = False
        self._due = place.streamversion + 1
        if event is None:
            self._certain = self._certain and place.kind != _UNREADABLE
            return
        if isinstance(event.data, CrlPublished):
            yield from self._check_number(place.seq, int(event.data.number))
            return
        if isinstance(event.data, Issued):
            yield from self._check_same(place.seq, event.data)
        if self._certain:
            yield from self._evolve(place.seq, event)

    def _evolve(self, seq: int, event: Event) -> Iterator[Finding]:
        try:
            self._state = evolve(self._state, event)
        except (IllegalTransition, LogCorrupt) as error:
            yield Finding("finding", "lifecycle", seq, told(error))
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
            yield Finding("note", "reused-serial", seq, message)
        self._sha256 = data.sha256
