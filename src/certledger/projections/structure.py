"""Whether the tables of the read model are built as they must be."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, Connection, Dialect, Table, inspect
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import TypeEngine

from certledger.errors import BrokenTable
from certledger.eventstore.backends import backend_of


def check_structure(connection: Connection, tables: tuple[Table, ...]) -> None:
    """Hold the columns, types and keys of tables against their definition.

    Further columns are let be where they may stay empty. Raises `BrokenTable`.
    """
    for table in tables:
        faults = list(_faults(connection, table))
        if faults:
            raise BrokenTable(table.name, faults)


def _faults(connection: Connection, table: Table) -> Iterator[str]:
    inspector = inspect(connection)
    if table.name not in inspector.get_table_names():
        yield "it does not exist"
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # types that nobody knows are a fault below
        found = {str(column["name"]): column for column in inspector.get_columns(table.name)}
    for column in table.columns:
        if column.name not in found:
            yield f"the column {column.name} is missing"
        elif not _alike(column.type, found[column.name]["type"], connection.dialect):
            yield (
                f"the column {column.name} has the type {found[column.name]['type']!s} "
                f"instead of {column.type.compile(connection.dialect)}"
            )
    for name, further in found.items():
        if name not in table.columns and not further["nullable"] and further["default"] is None:
            yield f"the further column {name!r} must not be empty, which it would be"
    yield from backend_of(connection).faults_of_storage(connection, table)
    key = inspector.get_pk_constraint(table.name)["constrained_columns"]
    if key != [column.name for column in table.primary_key]:
        yield f"the primary key is {key}"


def _alike(wanted: TypeEngine[Any], found: TypeEngine[Any], dialect: Dialect) -> bool:
    """Tell whether values are stored and compared alike.

    On SQLite a BIGINT key is no row id and takes NULL, so it is told from INTEGER.
    """
    own = wanted.dialect_impl(dialect)
    if dialect.name == "sqlite" and isinstance(own, BigInteger) != isinstance(found, BigInteger):
        return False
    return own._type_affinity is found._type_affinity  # noqa: SLF001 # the one name for "kind of type"
