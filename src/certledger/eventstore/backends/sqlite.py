"""What SQLite needs: settings of a connection, its errors, and values as they are stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from certledger.errors import (
    NotARegistry,
    ReadOnlyRegistry,
    StorageError,
    StorageUnavailable,
    UnreadableValue,
)
from certledger.eventstore.backends import sqlite_files
from certledger.eventstore.backends.backend import Backend, Mode, on_begin
from certledger.eventstore.durability.sqlite import DURABLE, symptoms_of_settings
from certledger.eventstore.symptom import Symptom
from certledger.eventstore.triggers.sqlite import TRIGGERS

_SET_UP: Final = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    # On macOS a plain fsync leaves data in the disk's cache; elsewhere this means nothing.
    "fullfsync": "ON",
    "foreign_keys": "ON",
}
_TRANSIENT: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_READ_ONLY: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_PRIMARY_CODE = 0xFF


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
                # The mode is the file's, which nobody changes who opens it for reading only.
                if self._durable or name != "journal_mode":
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


def _is_wal_file(connection: Connection) -> bool:
    """Tell whether the header of the file has it in WAL mode (SQLite file format §1.3.3)."""
    (_, _, name) = connection.exec_driver_sql("PRAGMA database_list").first() or (0, "", "")
    try:
        with Path(name).open("rb") as stream:
            return stream.read(20)[18:] == b"\x02\x02"
    except OSError:
        return False


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


class Sqlite(Backend):
    """An SQLite file, or a database in memory."""

    name = "sqlite"
    triggers = TRIGGERS

    def make_engine(self, url: URL, retry_seconds: float) -> Engine:
        """Return an engine of a file, opened for reading only where nothing more is possible."""
        url = sqlite_files.connectable(url)
        in_memory = sqlite_files.is_in_memory(url)
        engine = _engine_in_memory(url, retry_seconds) if in_memory else create_engine(url)
        self.set_up_sessions(engine, retry_seconds)
        return engine

    def set_up_sessions(self, engine: Engine, retry_seconds: float) -> None:
        url = engine.url
        durable = not sqlite_files.is_in_memory(url) and not sqlite_files.is_opened_read_only(url)
        set_up = SetUp(wait_seconds=min(10.0, retry_seconds), durable=durable)
        event.listen(engine, "connect", set_up)
        on_begin(engine, _begin)

    def is_in_memory(self, url: URL) -> bool:
        return sqlite_files.is_in_memory(url)

    def is_transient(self, error: BaseException) -> bool:
        return is_transient(error)

    def explain(self, error: BaseException, database: str) -> StorageError | None:
        return explain(error, database)

    def stored_triggers(self, connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
        found = connection.exec_driver_sql(
            "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"
        )
        return {name: str(sql) for name, table, sql in found if str(table).lower() in tables}

    def weaknesses(self, connection: Connection) -> list[Symptom]:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in DURABLE}
        if found["journal_mode"] != "memory" and _is_wal_file(connection):
            # On read-only ground the file is opened as unchanging, and SQLite then tells another
            # mode.
            found["journal_mode"] = DURABLE["journal_mode"]
        return list(symptoms_of_settings(found))

    @contextmanager
    def values_as_stored(self, connection: Connection) -> Iterator[None]:
        """Read text that is no UTF-8 as bytes: anybody can store such text."""
        driver: Any = connection.connection.dbapi_connection
        before = driver.text_factory
        driver.text_factory = _text
        try:
            yield
        finally:
            driver.text_factory = before

    @contextmanager
    def without_foreign_keys(self, connection: Connection) -> Iterator[None]:
        """With foreign keys enforced, SQLite deletes every row of a table before it drops it, and
        with them the rows of others that cascade.
        """
        _pragma(connection, "OFF")
        try:
            yield
        finally:
            _pragma(connection, "ON")


def _engine_in_memory(url: URL, retry_seconds: float) -> Engine:
    # One connection that callers take turns on: it is the database.
    return create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=retry_seconds,
        connect_args={"check_same_thread": False},
    )


def _begin(connection: Connection, mode: Mode | None) -> None:
    # Through the driver: on an embedded database the way around it costs more than the BEGIN.
    driver: Any = connection.connection.dbapi_connection  # also of a detached one
    driver.execute("BEGIN IMMEDIATE" if mode is Mode.WRITE else "BEGIN")


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _pragma(connection: Connection, value: str) -> None:
    # On the driver's cursor: inside of a transaction, which SQLAlchemy would begin, the setting
    # does nothing.
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA foreign_keys={value}")
    finally:
        cursor.close()
