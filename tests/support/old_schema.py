"""Registries as earlier versions made them, and what the tables of a registry are built like."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from certledger import Ledger
from certledger.eventstore.backends import backend_of
from certledger.eventstore.database import Database
from certledger.eventstore.tables import LOG_TABLES, log_checkpoint, log_entry, log_head
from certledger.testing.clock import FakeClock
from tests.support.populated import populate

FIRST = Path(__file__).resolve().parent.parent / "migrations" / "registry-0001.db"
"""What certledger wrote when its schema was 0001. Copy it; never open it itself."""
FIRST_ORIGIN = "ca.example.org/first-format"
FIRST_ROOT = "6bd3b87c8a7f67db9055f65b4edbb26457f88c384b8c26d1286ea4a66f904a68"
FIRST_VKEY = "ca.example.org/first-format+d077255d+ATS02QQxVsttzwvrCilJt1WclA0ry22+jFOpswJ446dG"

Shape = dict[str, object]


@dataclass(frozen=True)
class Old:
    """Where a registry of the first schema lies, and where a new one can be made."""

    url: str
    new_url: str


def copy_first(file: Path) -> None:
    shutil.copyfile(FIRST, file)


def make_first(url: str) -> None:
    """A registry of the first schema on a server, where no earlier version made any."""
    clock = FakeClock(datetime(2026, 2, 1, tzinfo=UTC))
    with Ledger(url, origin=FIRST_ORIGIN, clock=clock) as ledger:
        populate(ledger, clock)
    run(
        url,
        "DROP TABLE log_copy",
        "UPDATE alembic_version SET version_num = '0001'",
    )


def run(url: str, *statements: str) -> None:
    """Run statements as one who may do everything."""

    def work(connection: Connection, _retrying: bool) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    database = Database(url)
    database.write(work)
    database.close()


def log_rows(database: Database) -> list[object]:
    """Everything that the log holds, value for value."""
    tables = (log_entry, log_head, log_checkpoint)
    return database.read(
        lambda connection: [connection.execute(select(table)).all() for table in tables]
    )


def shape(database: Database) -> Shape:
    """How all tables, indexes, constraints and triggers are built, in the database's own words."""
    describe = {"sqlite": _sqlite, "postgresql": _postgresql}.get(database.backend.name, _mariadb)
    return database.read(describe)


def _sqlite(connection: Connection) -> Shape:
    rows = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return {
        f"{kind} {name} of {table}": None if words is None else " ".join(words.split())
        for kind, name, table, words in rows
    }


def _mariadb(connection: Connection) -> Shape:
    tables = inspect(connection).get_table_names()
    found: Shape = {name: _created(connection, name) for name in tables}
    return found | _triggers(connection)


def _created(connection: Connection, table: str) -> str:
    (_, words) = connection.exec_driver_sql(f"SHOW CREATE TABLE {table}").one()
    return re.sub(r" AUTO_INCREMENT=\d+", "", words)


_COLUMNS = text(
    """
    SELECT table_name, column_name, ordinal_position, data_type, character_maximum_length,
           collation_name, is_nullable, column_default, is_identity
    FROM information_schema.columns WHERE table_schema = current_schema()
    """
)
_INDEXES = text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()")
_CONSTRAINTS = text(
    """
    SELECT c.conname, c.conrelid::regclass::text, pg_get_constraintdef(c.oid)
    FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE n.nspname = current_schema()
    """
)


def _postgresql(connection: Connection) -> Shape:
    schema = connection.execute(text("SELECT current_schema()")).scalar_one()
    found: Shape = {}
    for table, column, *rest in connection.execute(_COLUMNS):
        found[f"{table}.{column}"] = rest
    for name, words in connection.execute(_INDEXES):
        found[f"index {name}"] = words.replace(f"{schema}.", "")
    for name, table, words in connection.execute(_CONSTRAINTS):
        found[f"constraint {name} of {table}"] = words
    return found | _triggers(connection)


def _triggers(connection: Connection) -> Shape:
    return dict(backend_of(connection).stored_triggers(connection, LOG_TABLES))
