"""The log's tables as anybody with the file sees them: through plain `sqlite3`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.intruder import intruder

Row = dict[str, Any]


@contextmanager
def opened(file: Path, *pragmas: str) -> Iterator[sqlite3.Connection]:
    """A connection of a stranger: every statement takes effect at once."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        yield connection
    finally:
        connection.close()


def edit(file: Path, *statements: str) -> None:
    """Run statements with the triggers of the log gone, as one who holds the file can.

    The triggers are put back: what is left is what the statements did.
    """
    with intruder(file, log=True) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(file: Path, query: str, *values: object) -> list[Row]:
    """The rows of a query, as dictionaries."""
    with opened(file) as connection:
        return [dict(row) for row in connection.execute(query, values)]


def log_of(file: Path) -> dict[str, list[Row]]:
    """Everything that the two tables of the log hold, value for value."""
    return {
        "log_entry": rows(file, "SELECT * FROM log_entry ORDER BY seq"),
        "log_head": rows(file, "SELECT * FROM log_head ORDER BY rowid"),
    }


def insert(connection: sqlite3.Connection, table: str, row: Row, verb: str = "INSERT") -> None:
    """Insert a row; `verb` may hold a conflict clause, and `{}` where an upsert's must stand."""
    names = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    statement = f"{verb} INTO {table} ({names}) VALUES ({marks})"
    if "{}" in verb:
        statement = verb.format(f"INTO {table} ({names}) VALUES ({marks})")
    connection.execute(statement, tuple(row.values()))
