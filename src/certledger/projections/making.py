"""Making the tables of a registry.

On MariaDB and MySQL every statement that makes a table commits by itself, so a registry can be seen
there while it is made, and what was broken off stays. It is whole once its rows of `log_head`,
`alembic_version` and `projection` are there, which are written last and together.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Table, inspect, literal_column, select

from certledger.eventstore.backends import backend_of
from certledger.eventstore.head import insert_head
from certledger.eventstore.tables import SCHEMA_VERSION, alembic_version, log_head
from certledger.eventstore.tables import metadata as log_metadata
from certledger.eventstore.times import Clock
from certledger.projections.models import (
    CERTIFICATES,
    PROJECTOR_VERSION,
    Base,
    projection,
)
from certledger.projections.models import metadata as read_metadata

TABLES: Final[tuple[Table, ...]] = (
    log_head,
    *(table for table in log_metadata.sorted_tables if table is not log_head),
    CERTIFICATES,
    *read_metadata.sorted_tables,
)
"""All tables of a registry."""


def is_unfinished(connection: Connection) -> bool:
    """Tell whether there is a registry that is not made to its end: tables of it are there, and
    all of them are empty.
    """
    if backend_of(connection).ddl_is_transactional:
        return False
    names = inspect(connection).get_table_names()
    present = [table for table in TABLES if table.name in names]
    return bool(present) and all(_is_empty(connection, table) for table in present)


def _is_empty(connection: Connection, table: Table) -> bool:
    return (
        connection.execute(select(literal_column("1")).select_from(table).limit(1)).first() is None
    )


def make(connection: Connection, origin: str, clock: Clock) -> None:
    """Make a registry, or what is missing of one that was not made to its end.

    Nobody else makes one here meanwhile; the transaction is the caller's.
    """
    there = frozenset(inspect(connection).get_table_names())
    log_metadata.create_all(connection)
    make_read_model(connection)
    for table in TABLES:
        if table.name in there:
            _index(connection, table)
    backend_of(connection).create_triggers(connection)
    connection.execute(alembic_version.insert().values(version_num=SCHEMA_VERSION))
    connection.execute(
        projection.insert().values(name=CERTIFICATES.name, position=0, version=PROJECTOR_VERSION)
    )
    insert_head(connection, origin, clock())


def make_read_model(connection: Connection) -> None:
    """Create those tables of the read model that are not there."""
    Base.metadata.create_all(connection, tables=[CERTIFICATES])
    read_metadata.create_all(connection)


def _index(connection: Connection, table: Table) -> None:
    """Make the indexes that a table is still without."""
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        index.create(connection, checkfirst=True)
