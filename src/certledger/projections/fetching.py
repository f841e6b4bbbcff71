"""Bringing rows of the read model to scratch tables that are not in the registry's database."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, type_coerce
from sqlalchemy import column as column_of
from sqlalchemy import table as table_of
from sqlalchemy.types import NullType

from certledger.eventstore.statement import Statement
from certledger.projections.models import CERTIFICATES, retired

ROWS: Final = 5_000
"""How many rows are brought at a time."""


class _Fetch:
    def __init__(self, table: Table) -> None:
        key = next(iter(table.primary_key))
        self.names = [column.name for column in table.columns]
        self.at = self.names.index(key.name)
        # Values as the driver gives them, and stored as they come: they may be odd ones.
        self.read = Statement(
            select(*[type_coerce(column, NullType()) for column in table.columns])
            .where(key.between(bindparam("low"), bindparam("high")))
            .order_by(key)
            .limit(ROWS)
        )
        copied = table_of(table.name, *[column_of(name) for name in self.names])
        self.clear = Statement(delete(copied))
        self.write = Statement(insert(copied).values({c.name: bindparam(c.name) for c in copied.c}))


_FETCHES: Final = {table.name: _Fetch(table) for table in (CERTIFICATES, retired)}


def fetch(registry: Connection, connection: Connection, table: Table, low: int, high: int) -> int:
    """Bring the rows with keys from `low` to `high`, both included, in the place of all others.

    Returns the key up to which they are all there: `high`, or less where there are too many.
    """
    how = _FETCHES[table.name]
    rows = how.read.rows(registry, low=low, high=high)
    how.clear.run(connection)
    stored = [dict(zip(how.names, map(_stored, row), strict=True)) for row in rows]
    how.write.run_many(connection, stored)
    return int(rows[-1][how.at]) if len(rows) == ROWS else high


def _stored(value: Any) -> Any:
    """Return a value as the scratch tables of SQLite have it."""
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value
