"""Applying what the log demands to the tables of the read model, under the lock of appends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update

from certledger.errors import ConstraintFailed
from certledger.eventstore.statement import Statement
from certledger.projections.differences import (
    CERTIFICATE_ROWS,
    RETIRED_ROWS,
    Difference,
    Pair,
)
from certledger.projections.models import PROJECTOR_VERSION, projection
from certledger.projections.rows import (
    DELETE_RETIRED,
    HOLDERS,
    INSERT_RETIRED,
    Row,
    set_rows,
)
from certledger.projections.scratch import Scratch
from certledger.projections.scratch_tables import scratch_certificates, scratch_retired

READ_MODEL: Final = "certificates"
"""The name under which the projector's version is kept."""

_wanted = {
    table.name: Statement(select(table).where(next(iter(table.primary_key)) == bindparam("key")))
    for table in (scratch_certificates, scratch_retired)
}


def mend_range(scratch: Scratch, pair: Pair, low: int, high: int) -> Iterator[Difference]:
    """Apply what differs in a range of keys, and yield it.

    Raises `ConstraintFailed` where the table does not take what the log demands.
    """
    scratch.catch_up()
    connection = scratch.connection
    while low <= high:
        found, reached = pair.differences(connection, low, high)
        yield from found
        left = found
        if any(difference.kind == "missing" for difference in found):
            # In the database, which is several times as fast as row by row.
            pair.insert_missing(connection, low, reached)
            left, _ = pair.differences(connection, low, reached)
        if pair is CERTIFICATE_ROWS:
            yield from _set_certificates(connection, left)
        else:
            _set_retired(connection, left)
        if found and pair.differences(connection, low, reached)[0]:
            message = (
                f"the table {pair.table.name} does not take the rows that the log demands: "
                "look for triggers on it that are not the registry's"
            )
            raise ConstraintFailed(message)
        low = reached + 1


def _set_certificates(connection: Connection, found: list[Difference]) -> list[Difference]:
    """Set the rows that differ, and with them those elsewhere that hold a serial number or uuid of
    theirs; return the differences of the latter.
    """
    wanted = {
        difference.key: _row(connection, CERTIFICATE_ROWS, difference.key) for difference in found
    }
    pending = [row for row in wanted.values() if row is not None]
    further: list[Difference] = []
    while pending:
        row = pending.pop()
        keys = {name: row[name] for name in ("id", "serial_number", "uuid")}
        for (holder,) in HOLDERS.rows(connection, **keys):
            if holder not in wanted:
                held = wanted[holder] = _row(connection, CERTIFICATE_ROWS, holder)
                pending += [] if held is None else [held]
                further += CERTIFICATE_ROWS.differences(connection, holder, holder)[0]
    set_rows(connection, wanted)
    return further


def _set_retired(connection: Connection, found: list[Difference]) -> None:
    DELETE_RETIRED.run_many(connection, [{"at_seq": difference.key} for difference in found])
    rows = [_row(connection, RETIRED_ROWS, difference.key) for difference in found]
    INSERT_RETIRED.run_many(connection, [row for row in rows if row is not None])


def _row(connection: Connection, pair: Pair, key: int) -> Row | None:
    """Return the row that the log demands under a key."""
    for row in _wanted[pair.scratch.name].rows(connection, key=key):
        return dict(zip(pair.scratch.columns.keys(), row, strict=True))
    return None


def set_projector_version(scratch: Scratch) -> None:
    """Note which projector made the rows, where another one is noted."""
    connection = scratch.connection
    noted = select(projection.c.version).where(projection.c.name == READ_MODEL)

    def work() -> None:
        if connection.scalar(noted) is None:
            connection.execute(
                insert(projection).values(name=READ_MODEL, position=0, version=PROJECTOR_VERSION)
            )
        else:
            connection.execute(
                update(projection)
                .where(projection.c.name == READ_MODEL)
                .values(version=PROJECTOR_VERSION)
            )

    with scratch.transaction():
        right = connection.scalar(noted) == PROJECTOR_VERSION
    if not right:
        scratch.locked(work)
