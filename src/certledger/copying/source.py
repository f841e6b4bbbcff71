"""The registry that is copied: looked at, read and checked, never changed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.exc import SAWarning

from certledger.copying.checkpoints import check_checkpoint
from certledger.errors import (
    IncompleteCopy,
    InvalidEvent,
    InvalidValue,
    LogCorrupt,
    UnknownEventType,
)
from certledger.eventstore.checkpoints import (
    StoredCheckpoint,
    checkpoints_from,
    count_checkpoints,
)
from certledger.eventstore.continuation import Continuation
from certledger.eventstore.database import Database
from certledger.eventstore.event import Event, read_event
from certledger.eventstore.events import EVENT_TYPES, UnknownData
from certledger.eventstore.head import Head, frontier_of, read_head
from certledger.eventstore.merkle import Frontier
from certledger.eventstore.reader import PAGE, Entry, read_entries
from certledger.eventstore.tables import log_entry
from certledger.eventstore.tree import root_at
from certledger.projections.models import CERTIFICATES, retired
from certledger.projections.schema import (
    foreign_tables,
    mark_of,
    require_readable,
    table_names,
)

Row = dict[str, Any]

_LAST: Final = select(func.max(log_entry.c.seq))
_FIRST_UNKNOWN: Final = (
    select(log_entry.c.seq, log_entry.c.type)
    .where(log_entry.c.type.not_in(list(EVENT_TYPES)))
    .order_by(log_entry.c.seq)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a registry had come at one instant."""

    head: Head
    checkpoints: int
    """How many checkpoints were stored."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that go into the target in one transaction."""

    rows: list[Row]
    before: bytes
    """The root of the log before them."""
    after: Frontier
    """The tree of the log with them."""
    recorded_at: datetime | None
    """When the last one was recorded."""


class Source:
    """Reads a registry in short transactions; damage stops it, with the entry named."""

    def __init__(self, database: Database) -> None:
        """Take the database of a registry, whose tables may be those of an older version."""
        self.database = database

    def open(self) -> Extent:
        """See that there is a whole registry that this version can read, and how far it has come.

        Raises `NotARegistry`, `FormatTooNew`, `IncompleteCopy`, `UnknownEventType`, `LogCorrupt`
        or another `StorageError`.
        """
        found = require_readable(self.database)
        mark = self.database.read(lambda connection: mark_of(connection, found))
        extent = self.look()
        if mark is not None and mark.finished_at is None:
            raise IncompleteCopy(self.database, mark.origin, extent.head.size, mark.size)
        self.database.read(_refuse_unknown)
        return extent

    def look(self) -> Extent:
        """Return how far the registry has come. Raises `LogCorrupt`."""
        return self.database.read(_extent)

    def root_at(self, size: int) -> bytes:
        """Return the root of the first `size` entries, from the hashes that are stored."""
        return self.database.read(lambda connection: root_at(connection, size))

    def batches(self, log: Continuation, head: Head) -> Iterator[Batch]:
        """Yield the entries by which `log` goes on up to what a head states, each checked: its
        bytes against its hashes, its columns against its bytes, its place.

        Raises `LogCorrupt` or `UnknownEventType`, which name the entry.
        """
        before = log.frontier.root()
        while log.size < head.size:
            end = min(log.size + PAGE, head.size)
            rows = [checked_row(stored, log) for stored in self.entries(log.size, end)]
            if log.size != end:
                message = "it is missing"
                raise LogCorrupt(message, log.size)
            root = log.frontier.root()
            if end == head.size and root != head.root:
                message = f"log_head states the root {head.root.hex()}, the entries {root.hex()}"
                raise LogCorrupt(message)
            yield Batch(rows, before, Frontier(end, log.frontier.peaks), log.recorded_at)
            before = root

    def entries(self, start: int, stop: int) -> list[Entry]:
        """Return the entries from `start` up to `stop` as they are stored. Raises `LogCorrupt`."""
        return entries_as_stored(self.database, start, stop)

    def checkpoints(self, start: int, stop: int) -> Iterator[list[StoredCheckpoint]]:
        """Yield the checkpoints with the numbers from `start` up to `stop`, in pages.

        Raises `LogCorrupt`, which names one that is missing.
        """
        while start < stop:
            page = self.database.read(lambda c, at=start: _checkpoint_page(c, at, stop))  # type: ignore[misc] # binds the loop's value
            yield page
            start += len(page)

    def check_checkpoints(self, start: int, extent: Extent) -> None:
        """Hold the checkpoints from the number `start` on against the log.

        Raises `LogCorrupt`, which names the checkpoint.
        """
        for page in self.checkpoints(start, extent.checkpoints):
            for stored in page:
                check_checkpoint(stored, extent.head, self.root_at)

    def others(self) -> tuple[str, ...]:
        """Return the names of tables and columns that are not the registry's."""
        return self.database.read(_others)


def entries_as_stored(database: Database, start: int, stop: int) -> list[Entry]:
    """Return entries in one read transaction; text that is none comes as bytes."""

    def work(connection: Connection) -> list[Entry]:
        with database.backend.values_as_stored(connection):
            return read_entries(connection, start, stop)

    return database.read(work)


def checked_row(stored: Entry, log: Continuation) -> Row:
    """Return the row that the bytes of an entry demand, which must be the one that is stored.

    Raises `LogCorrupt` or `UnknownEventType`.
    """
    if stored.seq != log.size:
        message = "it is missing"
        raise LogCorrupt(message, log.size)
    entry = stored.content()
    event = _event(stored.seq, entry)
    try:
        row = log.row(event, entry)
    except InvalidValue as error:
        raise LogCorrupt(str(error), stored.seq) from error
    for name, value in row.items():
        found = getattr(stored, name)
        if found != value:
            message = f"the column {name} says {found!r:.80}, its bytes say {value!r:.80}"
            raise LogCorrupt(message, stored.seq)
    return row


def _event(seq: int, entry: bytes) -> Event:
    try:
        event = read_event(entry)
    except InvalidEvent as error:
        raise LogCorrupt(str(error), seq) from error
    if isinstance(event.data, UnknownData):
        raise UnknownEventType(seq, event.type)
    return event


def _extent(connection: Connection) -> Extent:
    head = read_head(connection)
    frontier_of(head)  # raises for a root that is not that of the peaks
    last = connection.scalar(_LAST)
    size = 0 if last is None else last + 1
    if size != head.size:
        message = f"log_head states {head.size} entries, the last one is the {size}th"
        raise LogCorrupt(message)
    return Extent(head, count_checkpoints(connection))


def _refuse_unknown(connection: Connection) -> None:
    """Refuse before anything is written what would be refused in the middle."""
    for seq, kind in connection.execute(_FIRST_UNKNOWN):
        raise UnknownEventType(seq, kind)


def _checkpoint_page(connection: Connection, start: int, stop: int) -> list[StoredCheckpoint]:
    page = checkpoints_from(connection, start)
    due = range(start, min(start + max(len(page), 1), stop))
    for number, stored in zip(due, page, strict=False):
        if stored.number != number:
            break
    else:
        if page:
            return page[: len(due)]
        number = start
    message = f"the stored checkpoint {number} is missing"
    raise LogCorrupt(message)


def _others(connection: Connection) -> tuple[str, ...]:
    names = foreign_tables(connection)
    present = table_names(connection)
    inspector = inspect(connection)
    for table in (CERTIFICATES, retired):
        if table.name not in present:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # of types that nobody knows
            columns = [str(column["name"]) for column in inspector.get_columns(table.name)]
        names += [f"{table.name}.{name}" for name in columns if name not in table.columns]
    return tuple(names)
