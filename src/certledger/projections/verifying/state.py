"""Whether the registry is of this version, and whole."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from certledger.errors import UnreadableValue
from certledger.eventstore.database import Database
from certledger.eventstore.tables import SCHEMA_VERSION
from certledger.projections.schema import look, mark_of
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.stored import shown, told


def check_state(connection: Connection, database: Database) -> Iterator[Finding]:
    """Tell of tables of an older version, and of a copy that was not finished."""
    found = look(connection, database)
    if found.schema != SCHEMA_VERSION:
        message = (
            f"the tables are of the version {shown(found.schema)}, this version of certledger uses "
            f"{SCHEMA_VERSION}: `certledger db upgrade`"
        )
        yield Finding("note", "schema", None, message)
    try:
        mark = mark_of(connection, found)
    except UnreadableValue as error:
        message = f"the mark of a copy cannot be read: {told(error)}"
        yield Finding("finding", "copy-unfinished", None, message)
        return
    if mark is not None and mark.finished_at is None:
        message = (
            f"the registry is an unfinished copy of {shown(mark.origin)}, which has {mark.size} "
            "entries: finish it with `certledger copy`"
        )
        yield Finding("finding", "copy-unfinished", None, message)
