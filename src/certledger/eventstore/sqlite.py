"""What SQLite needs: settings of a connection, read-only files, and its errors."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from certledger.errors import (
    NotARegistry,
    ReadOnlyRegistry,
    StorageError,
    StorageUnavailable,
    UnreadableValue,
)

DURABLE: Final = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
"""What `PRAGMA` must read back on every connection to a file; synchronous 2 is FULL."""

_SET_UP: Final = {"journal_mode": "WAL", "synchronous": "FULL", "foreign_keys": "ON"}
_TRANSIENT: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_READ_ONLY: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_PRIMARY_CODE = 0xFF
_OWN_ARGUMENTS: Final = frozenset({"mode", "immutable", "cache", "vfs", "nolock", "psow"})
"""Of SQLite's URI file names."""


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
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name)


def connectable(url: URL) -> URL:
    """Return a URL by which SQLite sees its own arguments, such as `mode=ro`, and can read a file
    on read-only ground: in WAL mode it otherwise wants to write beside it.
    """
    name = url.database or ""
    if name.startswith("file:"):
        url = url.set(query={**url.query, "uri": "true"})
    elif name not in {"", ":memory:"} and _OWN_ARGUMENTS & set(url.query):
        url = _with_arguments(url, Path(name))
    path = file_of(url)
    if path is None or not path.is_file() or is_opened_read_only(url):
        return url
    return _with_arguments(url, path, **_what_the_ground_allows(path))


def is_opened_read_only(url: URL) -> bool:
    """Tell whether the URL itself says that nothing is to be written."""
    return url.query.get("mode") == "ro" or "immutable" in url.query


def _what_the_ground_allows(path: Path) -> dict[str, str]:
    folder_writable = os.access(path.parent, os.W_OK)
    if os.access(path, os.W_OK) and folder_writable:
        return {}
    # `immutable` ignores the write-ahead log: right only where there is nothing in it.
    if not folder_writable and _is_empty(Path(f"{path}-wal")):
        return {"mode": "ro", "immutable": "1"}
    return {"mode": "ro"}


def _is_empty(file: Path) -> bool:
    return not file.exists() or file.stat().st_size == 0


def _with_arguments(url: URL, path: Path, **arguments: str) -> URL:
    if not arguments and not _OWN_ARGUMENTS & set(url.query):
        return url
    return url.set(
        database=path.resolve().as_uri().replace("file://", "file:"),
        query={**url.query, **arguments, "uri": "true"},
    )


class SetUp:
    """Sets a new driver connection to durable, explicit transactions."""

    def __init__(self, *, wait_seconds: float, durable: bool) -> None:
        """Wait for locks up to `wait_seconds`; `durable`: refuse a file that cannot be."""
        self._wait_ms = int(wait_seconds * 1000)
        self._durable = durable

    def __call__(self, connection: Any, _record: object) -> None:
        """Set up the connection, and read back what it really does.

        Raises `StorageUnavailable` where SQLite does not give the durability that the registry
        promises.
        """
        connection.isolation_level = None  # the driver must not begin transactions by itself
        cursor = connection.cursor()
        try:
            cursor.execute(f"PRAGMA busy_timeout={self._wait_ms}")
            for name, value in _SET_UP.items():
                cursor.execute(f"PRAGMA {name}={value}")
            if self._durable:
                _check_durable(cursor)
        finally:
            cursor.close()


def _check_durable(cursor: Any) -> None:
    for name, wanted in DURABLE.items():
        cursor.execute(f"PRAGMA {name}")
        (found,) = cursor.fetchone()
        if found != wanted:
            message = (
                f"SQLite keeps {name} at {found!r} instead of {wanted!r}, so a change could be "
                "lost: put the file on a local file system"
            )
            raise StorageUnavailable(message)


def peek_tables(path: Path) -> frozenset[str] | None:
    """Return the names of a file's tables without changing a byte of it; None where only a real
    opening can tell, as after a crash.

    Setting up a connection switches the file to WAL, which is not to be done to others' files.
    Raises `sqlite3.DatabaseError` for a file that is not an SQLite database.
    """
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    if _is_empty(Path(f"{path}-wal")):
        uri += "&immutable=1"  # otherwise a file in WAL mode gets files beside it
    try:
        connection = sqlite3.connect(uri, uri=True)
        try:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return frozenset(name for (name,) in rows)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if is_no_database(error):
            raise
        return None


def weaknesses(connection: Connection) -> list[str]:
    """Say which settings of a connection weaken durability, each with what to do."""
    if connection.dialect.name != "sqlite":
        return []
    found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in DURABLE}
    if found["journal_mode"] == "memory":
        return ["the registry lives in memory and ends with the process: give a file"]
    if _is_wal_file(connection):
        # On read-only ground the file is opened as unchanging, and SQLite then tells another mode.
        found["journal_mode"] = DURABLE["journal_mode"]
    return [
        f"{name} is {found[name]!r} instead of {wanted!r}: open the file where it can be written"
        for name, wanted in DURABLE.items()
        if found[name] != wanted
    ]


def _is_wal_file(connection: Connection) -> bool:
    """Tell whether the header of the file has it in WAL mode (SQLite file format §1.3.3)."""
    (_, _, name) = connection.exec_driver_sql("PRAGMA database_list").first() or (0, "", "")
    try:
        with Path(name).open("rb") as stream:
            return stream.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False


def size_of(path: Path | None) -> int | None:
    """Return the bytes of a database file and the write-ahead log beside it."""
    if path is None:
        return None
    files = (path, Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again may help: another connection holds the lock."""
    return _code(error) in _TRANSIENT


def is_read_only(error: BaseException) -> bool:
    """Tell whether the file or its folder cannot be written."""
    return _code(error) in _READ_ONLY


def cannot_open(error: BaseException) -> bool:
    """Tell whether the file cannot be opened or made at all."""
    return _code(error) == sqlite3.SQLITE_CANTOPEN


def is_no_database(error: BaseException) -> bool:
    """Tell whether the file is not an SQLite database."""
    return _code(error) == sqlite3.SQLITE_NOTADB


def explain(error: BaseException, database: str) -> StorageError | None:
    """Return what an error of the driver means for its database, with what to do; None where it
    has no meaning of its own.
    """
    if is_read_only(error):
        return ReadOnlyRegistry(
            f"{database} cannot be written: {error}; check the permissions of the file and its "
            "folder"
        )
    if cannot_open(error):
        return StorageUnavailable(
            f"{database} cannot be opened: see that its folder exists, that it is no folder "
            "itself, and that you may read it"
        )
    if is_no_database(error):
        return NotARegistry(f"{database} is not an SQLite database; give another file")
    # Stored text that is no UTF-8; the driver gives this error no code.
    if str(error).startswith("Could not decode to UTF-8"):
        return UnreadableValue(str(error))
    return None


def _code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
