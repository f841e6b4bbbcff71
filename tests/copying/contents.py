"""Everything that a registry holds, whatever kind of database it is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from certledger import Ledger
from certledger.eventstore.checkpoints import stored_checkpoints
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.reader import END, read_entries
from certledger.projections.models import CERTIFICATES, retired
from certledger.projections.verifying.verify import Finding

SIZE = 2_101
"""Of the log of the original: two full batches and a part of one. No subtree ends with it."""

KINDS = ("sqlite", "postgresql", "mariadb")


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def contents(url: str) -> dict[str, Any]:
    """Log, head, checkpoints and tables, value for value."""
    database = Database(url)
    try:
        return database.read(_contents)
    finally:
        database.close()


def _contents(connection: Connection) -> dict[str, Any]:
    tables = {
        table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
        for table in (CERTIFICATES, retired)
    }
    return {
        "head": read_head(connection),
        "entries": read_entries(connection, 0, END),
        "checkpoints": list(stored_checkpoints(connection)),
        **{name: [tuple(row) for row in rows] for name, rows in tables.items()},
    }


def findings(url: str) -> list[Finding]:
    """What is wrong in a registry that can be used."""
    with Ledger(url, create=False) as ledger:
        return [found for found in ledger.verify() if found.level == "finding"]


def image(file: Path) -> dict[str, bytes]:
    """The bytes of an SQLite database, of its write-ahead log too."""
    files = (file, file.with_name(f"{file.name}-wal"))
    return {each.name: each.read_bytes() for each in files if each.exists()}
