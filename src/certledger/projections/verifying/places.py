"""Where each entry stands in its stream: a temporary table, by which the log is read in stream
order.

It is filled from the bytes of the entries, not from their columns, which anybody can have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    and_,
    bindparam,
    exists,
    insert,
    or_,
    select,
    tuple_,
)

from certledger.errors import InvalidEvent
from certledger.eventstore.backends import backend_of
from certledger.eventstore.columns import TABLE_OPTIONS, ExactText, Position
from certledger.eventstore.event import Event, load_event
from certledger.eventstore.events import Issued
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import log_entry
from certledger.projections.verifying.stored import PAGE, StoredEntry

_LENGTH: Final = 255
_INT32: Final = 2**31

stream_index: Final = Table(
    "scratch_streams",
    MetaData(),
    Column("subject", ExactText(_LENGTH), primary_key=True),
    Column("streamversion", Integer, primary_key=True, autoincrement=False),
    Column("seq", Position, primary_key=True, autoincrement=False),
    # 0: unreadable; 1: to be looked at; 2: registered, of no interest where it stands alone.
    Column("kind", Integer, nullable=False),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
    **TABLE_OPTIONS,
)
UNREADABLE, _ORDINARY, _FIRST = range(3)

_insert = Statement(insert(stream_index))
_key = tuple_(stream_index.c.subject, stream_index.c.streamversion, stream_index.c.seq)
# The first column by itself, too: MariaDB and MySQL find no place in an index by several.
_after = and_(
    stream_index.c.subject >= bindparam("subject"),
    _key > tuple_(bindparam("subject"), bindparam("streamversion"), bindparam("seq")),
)
_other = stream_index.alias("other")
# Most streams are a certificate that was registered and nothing more: no rule is about those.
_page = Statement(
    select(stream_index)
    .where(
        _after,
        or_(
            stream_index.c.kind != _FIRST,
            exists().where(
                _other.c.subject == stream_index.c.subject, _other.c.seq != stream_index.c.seq
            ),
        ),
    )
    .order_by(*stream_index.primary_key)
    .limit(PAGE)
)
_all = Statement(
    select(stream_index).where(_after).order_by(*stream_index.primary_key).limit(PAGE + 1)
)
_entry = Statement(select(log_entry.c.entry).where(log_entry.c.seq == bindparam("seq")))


PlaceRow = tuple[str, int, int, int]
"""A `Place` as it goes from one process to another."""


class Place(NamedTuple):
    """Where an entry stands in its stream."""

    subject: str
    streamversion: int
    seq: int
    kind: int


def place_of(seq: int, event: Event) -> PlaceRow:
    """Return an entry's place in its stream."""
    first = event.streamversion == 0 and isinstance(event.data, Issued)
    return event.subject, event.streamversion, seq, _FIRST if first else _ORDINARY


def place_of_columns(row: StoredEntry) -> PlaceRow | None:
    """Return the place of an unreadable entry as its columns say, None where they say none."""
    subject, version = row.subject, row.streamversion
    if isinstance(subject, str) and isinstance(version, int) and 0 <= version < _INT32:
        return subject[:_LENGTH], version, row.seq, UNREADABLE
    return None


def add_places(connection: Connection, places: Sequence[PlaceRow]) -> None:
    """Write places into the temporary table."""
    _insert.run_many(
        connection,
        [
            {"subject": subject, "streamversion": version, "seq": seq, "kind": kind}
            for subject, version, seq, kind in places
        ],
    )


def read_places(
    connection: Connection, after: Place | None, log: Connection | None = None
) -> list[tuple[Place, Event | None]]:
    """Return the next page in stream order of what the rules are about, with the events.

    `log` is a connection to the log, where the temporary table is elsewhere.
    """
    last = after or Place("", -1, -1, UNREADABLE)
    if backend_of(connection).opens_temporary_tables_twice(connection):
        places = _following(connection, _page, last)
    else:
        places = _picked(connection, last)
    return [(place, _load(log or connection, place)) for place in places]


def _following(connection: Connection, statement: Statement, last: Place) -> list[Place]:
    rows = statement.rows(
        connection, subject=last.subject, streamversion=last.streamversion, seq=last.seq
    )
    return [Place(*row) for row in rows]


def _picked(connection: Connection, last: Place) -> list[Place]:
    """Do here what `_page` does in the database: pick what does not stand alone in its stream."""
    while following := _following(connection, _all, last):
        beyond = following[PAGE:]
        here = following[:PAGE]
        picked = [
            place
            for before, place, behind in zip(
                [last, *here], here, [*here[1:], *beyond, None], strict=False
            )
            if place.kind != _FIRST or place.subject in {before.subject, behind and behind.subject}
        ]
        if picked:
            return picked
        last = here[-1]
    return []


def _load(connection: Connection, place: Place) -> Event | None:
    for (entry,) in _entry.rows(connection, seq=place.seq):
        try:
            return load_event(entry) if place.kind != UNREADABLE else None
        except (InvalidEvent, TypeError):
            return None  # changed since it was read: that is told of by the next verification
    return None
