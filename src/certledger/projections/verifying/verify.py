"""Holding the log against its own rules, and the read model against the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, func, select

from certledger.errors import BrokenTable, LogCorrupt, UnknownEventType
from certledger.eventstore import sqlite
from certledger.eventstore.database import Database
from certledger.eventstore.sqlite_checks import values_as_stored
from certledger.projections.differences import CERTIFICATE_ROWS, Difference
from certledger.projections.progress import Progress, share
from certledger.projections.scratch_tables import scratch_certificates
from certledger.projections.verifying.entry import EntryCheck
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.head import check_head, check_size, check_triggers
from certledger.projections.verifying.stored import Extent, entry_pages, read_extent, shown, told
from certledger.projections.verifying.streams import (
    Place,
    StreamCheck,
    add_places,
    place_of,
    read_places,
    stream_index,
)
from certledger.projections.verifying.tree import TreeCheck
from certledger.projections.walk import replayed, walk

__all__ = ["Finding", "verify"]

_ENTRIES: Final = 0.7
_STREAMS: Final = 0.8
"""The shares of the time after which each part ends; comparing the read model takes the rest."""


def verify(database: Database, progress: Progress | None = None) -> Iterator[Finding]:
    """Check the whole log as it is now, from the bytes of its entries, then the read model.

    Yields what is wrong (`finding`) or worth knowing (`note`) while it goes on. Nothing is
    changed, others read and write meanwhile, and a damaged entry does not keep the others from
    being checked. Raises `StorageError` only where the database cannot be read at all.
    """
    found = _verify(database, progress)
    # The one connection of a database in memory must be given back before the caller goes on.
    yield from list(found) if sqlite.is_in_memory(database.url) else found


def _verify(database: Database, progress: Progress | None) -> Iterator[Finding]:
    yield from _check_log(database, progress)
    yield from _check_read_model(database, progress)


def _check_log(database: Database, progress: Progress | None) -> Iterator[Finding]:
    """Check the log itself."""
    with database.connect_alone() as connection, values_as_stored(connection):
        with database.transaction(connection):
            extent = read_extent(connection)
            triggers = list(check_triggers(connection))
            stream_index.create(connection)
        try:
            yield from triggers
            yield from check_size(extent, connection.dialect)
            yield from _check_entries(database, connection, extent, share(progress, 0.0, _ENTRIES))
            yield from _check_streams(
                database, connection, extent, share(progress, _ENTRIES, _STREAMS)
            )
        finally:
            if sqlite.is_in_memory(database.url):
                with database.transaction(connection):
                    stream_index.drop(connection)


def _check_entries(
    database: Database, connection: Connection, extent: Extent, progress: Progress
) -> Iterator[Finding]:
    """Check every entry by itself, order and tree, and then the head."""
    head = extent.heads[0] if len(extent.heads) == 1 else None
    origin = head.origin if head is not None and isinstance(head.origin, str) else None
    entries = EntryCheck(connection.dialect, origin)
    size = extent.stop if extent.size is None else extent.size
    tree = TreeCheck(size)
    last: Any = None
    done = 0
    for page in entry_pages(database, connection, extent.last):
        places = []
        findings: list[Finding] = []
        for row in page:
            faults, leaf, event = entries.read(row)
            findings += faults
            findings += tree.add(row.seq, row.hashes, leaf)
            if event is not None:
                findings += entries.check(row, event)
            if 0 <= row.seq < size:
                last = entries.recorded_at(event) or row.recorded_at
            places.append(place_of(row, event))
        with database.transaction(connection):
            add_places(connection, [place for place in places if place is not None])
        yield from findings
        done += len(page)
        progress(done, max(size, done))
    if head is not None:
        yield from check_head(head, tree, last)


def _check_streams(
    database: Database, connection: Connection, extent: Extent, progress: Progress
) -> Iterator[Finding]:
    """Check the entries in stream order."""
    check = StreamCheck()
    after: Place | None = None
    done = 0
    while True:
        with database.transaction(connection):
            page = read_places(connection, after)
        for place, event in page:
            yield from check.step(place, event)
            after = place
        done += len(page)
        progress(done, max(extent.size or 0, done))
        if not page:
            return


def _check_read_model(database: Database, progress: Progress | None) -> Iterator[Finding]:
    """Report every row that is not what the log demands."""
    rest = share(progress, _STREAMS, 1.0)
    try:
        with replayed(database, rest) as scratch:
            with scratch.transaction():
                twice = list(_shared_uuids(scratch.connection))
            yield from twice
            for _, _, _, differences in walk(scratch, rest):
                yield from map(_drifted, differences)
    except BrokenTable as error:
        yield Finding("finding", "structure", None, told(error))
    except LogCorrupt as error:
        message = f"the tables cannot be compared with the log: {told(error)}"
        yield Finding("finding", "drift", error.seq, message)
    except UnknownEventType as error:
        message = f"the tables cannot be compared with the log: {told(error)}"
        yield Finding("note", "drift", None, message)


def _shared_uuids(connection: Connection) -> Iterator[Finding]:
    uuid = scratch_certificates.c.uuid
    shared = (
        select(uuid, func.max(scratch_certificates.c.id))
        .where(uuid.is_not(None))
        .group_by(uuid)
        .having(func.count() > 1)
    )
    for name, row_id in connection.execute(shared):
        message = f"the uuid {shown(name)} belongs to several present certificates"
        yield Finding("finding", "lifecycle", row_id - 1, message)


def _drifted(difference: Difference) -> Finding:
    table = difference.table
    row = f"{table}, row {difference.key}, serial {shown(difference.serial_number)}"
    seq = difference.key - 1 if table == CERTIFICATE_ROWS.table.name else difference.key
    seq_or_none = seq if difference.kind != "unexpected" else None
    if difference.kind == "missing":
        message = f"{row}: the log has it, the table has not"
    elif difference.kind == "unexpected":
        message = f"{row}: the table has it, the log has not"
    else:
        columns = "; ".join(
            f"{name} is {shown(found)}, by the log {shown(wanted)}"
            for name, (found, wanted) in difference.columns.items()
        )
        message = f"{row}: {columns}"
    return Finding("finding", "drift", seq_or_none, message)
