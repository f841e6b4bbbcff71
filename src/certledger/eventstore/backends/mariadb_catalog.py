"""What MariaDB and MySQL tell of triggers and tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, text

from certledger.eventstore.backends.backend import HIDDEN
from certledger.eventstore.backends.mariadb_errors import code_of
from certledger.eventstore.columns import ExactText, LongText, exact_collation
from certledger.eventstore.symptom import Symptom, sql
from certledger.eventstore.triggers.mariadb import trigger

LISTING: Final = "log_triggers"
"""A procedure that an owner can make for users who may only read: it gives `_COLUMNS` of all
triggers of the database, with the owner's eyes.
"""

_COLUMNS: Final = (
    "trigger_name, action_timing, event_manipulation, event_object_table, action_statement, "
    "sql_mode"
)
_TRIGGERS: Final = text(
    f"SELECT {_COLUMNS} FROM information_schema.triggers WHERE event_object_schema = database()"  # noqa: S608 # our own columns
)
_ENGINES: Final = text(
    """
    SELECT table_name, engine FROM information_schema.tables
    WHERE table_schema = database() AND table_name IN :tables AND engine <> 'InnoDB'
    ORDER BY table_name
    """
).bindparams(bindparam("tables", expanding=True))
_COLLATIONS: Final = text(
    """
    SELECT column_name, collation_name FROM information_schema.columns
    WHERE table_schema = database() AND table_name = :name AND collation_name IS NOT NULL
    """
)
_SPEECH: Final = frozenset(
    {
        "",
        "STRICT_ALL_TABLES",
        "STRICT_TRANS_TABLES",
        "NO_ZERO_DATE",
        "NO_ZERO_IN_DATE",
        "ERROR_FOR_DIVISION_BY_ZERO",
        "NO_ENGINE_SUBSTITUTION",
        "NO_AUTO_CREATE_USER",
        "NO_AUTO_VALUE_ON_ZERO",
        "ONLY_FULL_GROUP_BY",
    }
)
"""SQL modes under which the triggers mean what they say. A trigger keeps that of its making."""

_NO_SUCH_TRIGGER: Final = 1360
_NOT_CALLABLE: Final = frozenset({1044, 1142, 1227, 1305, 1370})


def stored_triggers(
    connection: Connection, tables: tuple[str, ...], wanted: frozenset[str]
) -> dict[str, str]:
    """Return the triggers on some tables, by name; `HIDDEN` for those of `wanted` of which the
    user may only know that they are there.
    """
    found = _stored(connection.execute(_TRIGGERS), tables)
    if wanted <= set(found) and HIDDEN not in found.values():
        return found
    # They are shown to who may make and drop them, which one who verifies should not.
    found = _listed(connection, tables) or found
    return found | {
        name: HIDDEN for name in sorted(wanted - set(found)) if _exists(connection, name)
    }


def foreign_engines(connection: Connection, tables: tuple[str, ...]) -> Iterator[Symptom]:
    """Say which tables are not kept by InnoDB: no other engine rolls back, nor recovers."""
    for table, engine in connection.execute(_ENGINES, {"tables": list(tables)}):
        message = f"{table} is kept by {engine}, which knows no transactions"
        yield Symptom("weak", "engine", message, sql(f"ALTER TABLE {table} ENGINE = InnoDB"))


def inexact_columns(connection: Connection, table: Table) -> Iterator[str]:
    """Say which texts of a table would be taken for each other though their bytes differ."""
    exact = exact_collation(connection.dialect)
    found = dict(map(tuple, connection.execute(_COLLATIONS, {"name": table.name})))
    for column in table.columns:
        collation = found.get(column.name, exact)
        if isinstance(column.type, ExactText | LongText) and collation != exact:
            yield f"the column {column.name} is compared by {collation} instead of {exact}"


def _stored(rows: Any, tables: tuple[str, ...]) -> dict[str, str]:
    stored = {}
    for name, timing, verb, table, body, mode in rows:
        if table in tables and body is None:  # who may write the table is told the name alone
            stored[name] = HIDDEN
        elif table in tables:
            ddl = trigger(name, f"{timing} {verb}", table, body)
            odd = sorted(set(mode.split(",")) - _SPEECH)
            stored[name] = f"{ddl} -- under the SQL mode {','.join(odd)}" if odd else ddl
    return stored


def _listed(connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
    driver: Any = connection.connection.dbapi_connection
    with driver.cursor() as cursor:
        try:
            cursor.execute(f"CALL {LISTING}()")
        except connection.dialect.loaded_dbapi.Error as error:
            if code_of(error) in _NOT_CALLABLE:
                return {}
            raise
        return _stored(cursor.fetchall(), tables)


def _exists(connection: Connection, name: str) -> bool:
    """Tell whether there is a trigger that the user may not see: its DDL is then refused for want
    of a privilege, and not as that of no trigger.
    """
    driver: Any = connection.connection.dbapi_connection
    with driver.cursor() as cursor:
        try:
            cursor.execute(f"SHOW CREATE TRIGGER {name}")
        except connection.dialect.loaded_dbapi.Error as error:
            return code_of(error) != _NO_SUCH_TRIGGER
        return True
