"""Putting a table that was made beside another in its place, on MariaDB and MySQL.

Every statement about a table ends the transaction there, so nothing but single statements happens
as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, exc, inspect, text

from certledger.eventstore.backends.mariadb_errors import code_of

_REFERENCED: Final = text(
    """
    SELECT 1 FROM information_schema.key_column_usage
    WHERE referenced_table_schema = database() AND referenced_table_name = :name LIMIT 1
    """
)
_IS_REFERENCED: Final = 1451


def put_in_place(connection: Connection, new: str, name: str) -> None:
    """Let the table `new` be `name`, and drop the one that was; views and foreign keys to that
    stay.

    Others who use the table wait at most, but for MySQL where there are foreign keys to it: a
    statement can then meet the instant in which there is no such table.
    """
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS certledger_{name}_old")  # of one broken off
    if not _is_there(connection, name):
        connection.exec_driver_sql(f"RENAME TABLE {new} TO {name}")
    elif connection.scalar(_REFERENCED, {"name": name}) is not None:
        _replace(connection, new, name)
    else:
        _swap(connection, new, name)


def _is_there(connection: Connection, name: str) -> bool:
    inspector = inspect(connection)
    return name in {*inspector.get_table_names(), *inspector.get_view_names()}


def _swap(connection: Connection, new: str, name: str) -> None:
    """Exchange the tables in one statement; what is open sees one or the other."""
    old = f"certledger_{name}_old"
    connection.exec_driver_sql(f"RENAME TABLE {name} TO {old}, {new} TO {name}")
    if old in inspect(connection).get_view_names():
        connection.exec_driver_sql(f"DROP VIEW {old}")
        return
    try:
        connection.exec_driver_sql(f"DROP TABLE {old}")
    except exc.IntegrityError as error:
        # By a foreign key of a table that this user may not see; it went with the old name.
        if error.orig is None or code_of(error.orig) != _IS_REFERENCED:
            raise
        connection.exec_driver_sql(f"RENAME TABLE {name} TO {new}, {old} TO {name}")
        _replace(connection, new, name)


def _replace(connection: Connection, new: str, name: str) -> None:
    """Make the table anew under its own name, by which foreign keys find it."""
    with _without_foreign_keys(connection):
        if getattr(connection.dialect, "is_mariadb", False):
            _, ddl = connection.exec_driver_sql(f"SHOW CREATE TABLE {new}").one()
            ddl = str(ddl).replace(f"CREATE TABLE `{new}`", f"CREATE OR REPLACE TABLE `{name}`", 1)
            # Others wait for this one statement. `%` would stand for a value.
            connection.exec_driver_sql(f"{ddl.replace('%', '%%')} SELECT * FROM {new}")  # noqa: S608 # our own names
            connection.exec_driver_sql(f"DROP TABLE {new}")
        else:
            connection.exec_driver_sql(f"DROP TABLE {name}")
            connection.exec_driver_sql(f"RENAME TABLE {new} TO {name}")


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
    try:
        yield
    finally:
        if not connection.invalidated:  # as it is after an interrupt
            connection.exec_driver_sql("SET SESSION foreign_key_checks = 1")
