"""The read model as callers know it, and the tables that they declare beside it."""

from __future__ import annotations

from sqlalchemy import Connection, Table, inspect

from certledger.eventstore.backends import backend_of
from certledger.eventstore.database import Database
from certledger.projections.models import CERTIFICATES, Base, CertificateRecord

__all__ = ["Base", "CertificateRecord"]


def create_callers_tables(database: Database) -> None:
    """Create the tables declared on `Base` by others than us, where they are missing.

    No write lock is taken where nothing is missing: a registry that is read only can be opened.
    """
    tables = [table for table in Base.metadata.sorted_tables if table is not CERTIFICATES]
    if not tables:
        return
    missing = database.read(lambda connection: _missing(connection, tables))
    if missing:
        database.write(lambda connection, _: _create(connection, tables))


def _create(connection: Connection, tables: list[Table]) -> None:
    # Looked up again while nobody else can make any: another process may just have been faster.
    with backend_of(connection).making(connection):
        Base.metadata.create_all(connection, tables=tables)


def _missing(connection: Connection, tables: list[Table]) -> bool:
    there = inspect(connection)
    return not all(there.has_table(table.name, schema=table.schema) for table in tables)
