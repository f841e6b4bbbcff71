"""What SQLite needs: settings of a connection, read-only files, and its errors."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.engine import URL

DURABLE: Final = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
"""What `PRAGMA` must read back on every connection to a file; synchronous 2 is FULL."""

_SET_UP: Final = (
    "PRAGMA busy_timeout=10000",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
)
_TRANSIENT: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_READ_ONLY: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_PRIMARY_CODE = 0xFF


def is_in_memory(url: URL) -> bool:
    """Tell whether the URL names a database that lives in this process only."""
    if url.get_backend_name() != "sqlite":
        return False
    name = url.database or ""
    return name in {"", ":memory:", "file::memory:"} or url.query.get("mode") == "memory"


def file_of(url: URL) -> Path | None:
    """Return the path of an SQLite file, None for other databases and those in memory."""
    if url.get_backend_name() != "sqlite" or is_in_memory(url):
        return None
    name = url.database or ""
    return Path(name.removeprefix("file:"))


def readable(url: URL) -> URL:
    """Return a URL that can read a file on read-only ground: SQLite in WAL mode otherwise wants
    to write beside it.
    """
    path = file_of(url)
    if path is None or not path.is_file() or (url.database or "").startswith("file:"):
        return url
    folder_writable = os.access(path.parent, os.W_OK)
    if os.access(path, os.W_OK) and folder_writable:
        return url
    query = {"uri": "true", "mode": "ro"}
    log = Path(f"{path}-wal")
    # `immutable` ignores the write-ahead log: right only where there is nothing in it.
    if not folder_writable and (not log.exists() or log.stat().st_size == 0):
        query["immutable"] = "1"
    return url.set(database=path.resolve().as_uri().replace("file://", "file:"), query=query)


def set_up(connection: Any, _record: object) -> None:
    """Set a new driver connection to durable, explicit transactions."""
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    try:
        for pragma in _SET_UP:
            cursor.execute(pragma)
    finally:
        cursor.close()


def settings(connection: Connection) -> dict[str, object]:
    """Read back what a connection is set to."""
    return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in DURABLE}


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again may help: another connection holds the lock."""
    return _code(error) in _TRANSIENT


def is_read_only(error: BaseException) -> bool:
    """Tell whether the file or its folder cannot be written."""
    return _code(error) in _READ_ONLY


def is_no_database(error: BaseException) -> bool:
    """Tell whether the file is not an SQLite database."""
    return _code(error) in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def _code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
