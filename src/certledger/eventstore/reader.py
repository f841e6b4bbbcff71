"""Reading the log: by stream, position, type, actor and time, in pages, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from certledger.errors import InvalidEvent, LogCorrupt, UnreadableValue
from certledger.eventstore.database import Database
from certledger.eventstore.event import Event, load_event
from certledger.eventstore.merkle import HASH_SIZE, leaf_hash
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import log_entry
from certledger.eventstore.times import aware_utc

PAGE: Final = 1_000
"""How many entries one read transaction gives."""

END: Final = 2**63 - 1
"""Past every position."""

_COLUMNS = (
    log_entry.c.seq,
    log_entry.c.hashes,
    log_entry.c.event_id,
    log_entry.c.subject,
    log_entry.c.streamversion,
    log_entry.c.type,
    log_entry.c.actor,
    log_entry.c.uuid,
    log_entry.c.recorded_at,
    log_entry.c.entry,
)
_SLIM = (log_entry.c.seq, log_entry.c.hashes, log_entry.c.entry)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the log as it is stored, unchecked."""

    seq: int
    hashes: bytes
    event_id: str
    subject: str
    streamversion: int
    type: str
    actor: str
    uuid: str | None
    recorded_at: datetime
    """Naive, in UTC."""
    entry: bytes | None

    def event(self) -> Event:
        """Return the event, its bytes held against their leaf hash.

        Raises `LogCorrupt`.
        """
        return open_entry(self.seq, self.hashes, self.entry)

    def content(self) -> bytes:
        """Return the bytes, held against their leaf hash. Raises `LogCorrupt`."""
        return checked_bytes(self.seq, self.hashes, self.entry)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which entries to read."""

    start: int = 0
    """The first position."""
    stop: int = END
    """The position after the last."""
    type: str | None = None
    """A full event type."""
    actor: str | None = None
    """An `authid`."""
    reverse: bool = False
    """Newest first."""


def open_entry(seq: int, hashes: bytes, entry: bytes | None) -> Event:
    """Read an entry's bytes after holding them against the stored leaf hash.

    Raises `LogCorrupt` for missing bytes, other bytes than were hashed, or a foreign position.
    """
    try:
        event = load_event(checked_bytes(seq, hashes, entry))
    except InvalidEvent as error:
        raise LogCorrupt(str(error), seq) from error
    if event.seq != seq:
        message = f"its bytes are those of entry {event.seq}"
        raise LogCorrupt(message, seq)
    return event


def checked_bytes(seq: int, hashes: bytes, entry: bytes | None) -> bytes:
    """Return an entry's bytes after holding them against the stored leaf hash.

    Raises `LogCorrupt` for missing bytes, or other bytes than were hashed.
    """
    if entry is None:
        message = "its bytes are missing"
        raise LogCorrupt(message, seq)
    # SQLite stores any value in any column.
    stored = isinstance(entry, bytes) and isinstance(hashes, bytes)
    if not stored or leaf_hash(entry) != hashes[:HASH_SIZE]:
        message = "its bytes are not those that were hashed"
        raise LogCorrupt(message, seq)
    return entry


_STREAM: Final = Statement(
    select(*_SLIM)
    .where(log_entry.c.subject == bindparam("subject"))
    .order_by(log_entry.c.streamversion)
)
_VERSION: Final = Statement(
    select(func.max(log_entry.c.streamversion)).where(log_entry.c.subject == bindparam("subject"))
)
_BY_EVENT_ID: Final = Statement(
    select(*_COLUMNS).where(log_entry.c.event_id == bindparam("event_id"))
)
_BY_UUID: Final = Statement(
    select(log_entry.c.subject).where(log_entry.c.uuid == bindparam("uuid")).distinct()
)
_RECORDED_AT: Final = Statement(
    select(log_entry.c.recorded_at).where(log_entry.c.seq == bindparam("seq"))
)


def read_stream(connection: Connection, subject: str) -> list[Event]:
    """Return the events of a stream, oldest first.

    Raises `LogCorrupt` for an entry that was changed, or that belongs to another stream.
    """
    return [stream_entry(subject, *row) for row in _STREAM.rows(connection, subject=subject)]


def stream_entry(subject: str, seq: int, hashes: bytes, entry: bytes | None) -> Event:
    """Read an entry as `open_entry` does, of the stream that its column names.

    Raises `LogCorrupt`, also for an entry that belongs to another stream.
    """
    event = open_entry(seq, hashes, entry)
    if event.subject != subject:
        message = f"its column says {subject}, its bytes say {event.subject}"
        raise LogCorrupt(message, seq)
    return event


def stream_version(connection: Connection, subject: str) -> int:
    """Return how many events a stream has."""
    ((last,),) = _VERSION.rows(connection, subject=subject)
    return 0 if last is None else int(last) + 1


def subjects_with_uuid(connection: Connection, uuid: str) -> list[str]:
    """Return the streams in which a certificate was ever issued with this uuid."""
    return [subject for (subject,) in _BY_UUID.rows(connection, uuid=uuid)]


def find_entry(connection: Connection, event_id: str) -> Entry | None:
    """Return the entry of an event id, None where there is none."""
    try:
        rows = _BY_EVENT_ID.rows(connection, event_id=event_id)
    except UnreadableValue as error:
        raise _corrupt(error) from error
    return Entry(*rows[0]) if rows else None


def read_entries(connection: Connection, start: int, stop: int) -> list[Entry]:
    """Return the entries with start <= seq < stop, oldest first: one page for the caller."""
    return read_page(connection, LogQuery(start, stop), None, max(stop - start, 0))


def read_page(
    connection: Connection, query: LogQuery, after: int | None, limit: int
) -> list[Entry]:
    """Return the next `limit` entries of a query, past the seq `after` of the page before."""
    start, stop = query.start, query.stop
    if after is not None:
        start, stop = (start, min(after, stop)) if query.reverse else (max(after + 1, start), stop)
    statement = _page_statement(query.type is not None, query.actor is not None, query.reverse)
    wanted = {"type": query.type, "actor": query.actor}
    filters = {name: value for name, value in wanted.items() if value is not None}
    try:
        rows = statement.rows(connection, start=start, stop=stop, limit=limit, **filters)
    except UnreadableValue as error:
        raise _corrupt(error) from error
    return [Entry(*row) for row in rows]


def _corrupt(error: UnreadableValue) -> LogCorrupt:
    seq = error.row[0] if error.row else None
    return LogCorrupt(str(error.__cause__), seq if isinstance(seq, int) else None)


@cache
def _page_statement(by_type: bool, by_actor: bool, reverse: bool) -> Statement:
    query = select(*_COLUMNS).where(
        log_entry.c.seq >= bindparam("start"), log_entry.c.seq < bindparam("stop")
    )
    if by_type:
        query = query.where(log_entry.c.type == bindparam("type"))
    if by_actor:
        query = query.where(log_entry.c.actor == bindparam("actor"))
    order = log_entry.c.seq.desc() if reverse else log_entry.c.seq
    return Statement(query.order_by(order).limit(bindparam("limit")), varies=by_type or by_actor)


def read_log(database: Database, query: LogQuery, limit: int | None = None) -> Iterator[Entry]:
    """Yield the entries of a query, at most `limit`, a short read transaction for each page.

    What is appended while an ascending query runs is read too.
    """
    after: int | None = None
    left = END if limit is None else limit
    while left > 0:
        wanted = min(PAGE, left)
        last = after
        page = database.read(lambda c, n=wanted, a=last: read_page(c, query, a, n))  # type: ignore[misc] # defaults bind the loop's values
        yield from page
        if len(page) < wanted:
            return
        after = page[-1].seq
        left -= len(page)


def position_at(connection: Connection, instant: datetime, size: int) -> int:
    """Return the first position whose entry was recorded at or after an aware instant.

    It is `size`, the log's, where there is none. The recorded times never go back, so bisection
    finds it in O(log n) look-ups.

    Raises `LogCorrupt` for a missing entry.
    """
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if _recorded_at(connection, middle) < instant:
            low = middle + 1
        else:
            high = middle
    return low


def _recorded_at(connection: Connection, seq: int) -> datetime:
    try:
        rows = _RECORDED_AT.rows(connection, seq=seq)
    except UnreadableValue as error:
        raise LogCorrupt(str(error.__cause__), seq) from error
    if not rows:
        message = "it is missing"
        raise LogCorrupt(message, seq)
    return aware_utc(rows[0][0])
