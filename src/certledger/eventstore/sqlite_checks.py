"""What comparing and verifying need of SQLite: values and triggers as they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection


@contextmanager
def values_as_stored(connection: Connection) -> Iterator[None]:
    """Read text that is no UTF-8 as bytes instead of failing: anybody can store such text."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.dbapi_connection
    before = driver.text_factory
    driver.text_factory = _text
    try:
        yield
    finally:
        driver.text_factory = before


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


@contextmanager
def without_foreign_keys(connection: Connection) -> Iterator[None]:
    """Let a table be dropped and made anew under the foreign keys of others: with them enforced,
    SQLite first deletes every row, and with it the rows of others that cascade.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    _pragma(connection, "OFF")
    try:
        yield
    finally:
        _pragma(connection, "ON")


def _pragma(connection: Connection, value: str) -> None:
    # On the driver's cursor: inside of a transaction, which SQLAlchemy would begin, the setting
    # does nothing.
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA foreign_keys={value}")
    finally:
        cursor.close()


def stored_triggers(connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
    """Return the text of the triggers on some tables, by name."""
    found = connection.exec_driver_sql(
        "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"
    )
    return {name: str(sql) for name, table, sql in found if str(table).lower() in tables}
