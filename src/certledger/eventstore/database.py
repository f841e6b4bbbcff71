"""A database and its units of work: connections set up right, one writer at a time, retries."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool

from certledger.errors import (
    InvalidValue,
    LedgerError,
    NotARegistry,
    ReadOnlyRegistry,
    StorageUnavailable,
)
from certledger.eventstore import sqlite

logger = logging.getLogger("certledger")

RETRY_SECONDS: Final = 30.0
"""How long a unit of work is tried again before `StorageUnavailable`."""

Result = TypeVar("Result")


class Database:
    """An engine with the settings that durability needs, and units of work on it.

    Safe to use from several threads. After `os.fork` the child makes connections of its own.
    """

    def __init__(self, url: str | URL, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare the engine; nothing is opened yet.

        Raises `InvalidValue` for a text that is no database URL or names a missing driver.
        """
        try:
            self.url = make_url(url)
            self.engine = _make_engine(self.url)
        except (exc.ArgumentError, exc.NoSuchModuleError, ImportError) as error:
            message = f"{_hidden(url)} is no database URL that can be used here: {error}"
            raise InvalidValue(message) from error
        self._clock = clock
        self._in_memory = sqlite.is_in_memory(self.url)
        self._write_lock = threading.Lock()
        self._writer: Connection | None = None
        self._driver_error: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        _open_databases.add(self)

    def __str__(self) -> str:
        """Return the URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The path of an SQLite file, None for other databases."""
        return sqlite.file_of(self.url)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection with a read transaction: one snapshot for all that is read in it.

        Raises `StorageUnavailable` or `NotARegistry` where the database cannot be read.
        """
        try:
            with self.engine.connect() as connection, connection.begin():
                yield connection
        except (exc.SQLAlchemyError, self._driver_error) as error:
            raise self._translated(error) from error

    def write(
        self, work: Callable[[Connection], Result], *, tries_left: float | None = None
    ) -> Result:
        """Run `work` in one write transaction and commit it.

        `work` is run again after a conflict or a lost connection, for at most 30 s: it must find
        out by itself whether an earlier try was committed. Raises what `work` raises,
        `ReadOnlyRegistry`, or `StorageUnavailable` with attempts and time.
        """
        limit = RETRY_SECONDS if tries_left is None else tries_left
        started = self._clock()
        attempts = 0
        while True:
            attempts += 1
            try:
                with self._write_lock:
                    return self._write_once(work)
            except (exc.SQLAlchemyError, self._driver_error) as error:
                spent = self._clock() - started
                if not self._is_transient(error):
                    raise self._translated(error) from error
                if spent >= limit:
                    raise StorageUnavailable(
                        f"{self}: {_reason(error)}", attempts=attempts, seconds=spent
                    ) from error
            time.sleep(min(0.5, 0.005 * 2 ** min(attempts, 7)) * random.uniform(0.5, 1.0))  # noqa: S311 # jitter, not a secret

    def _write_once(self, work: Callable[[Connection], Result]) -> Result:
        connection = self._writer
        if connection is None or connection.closed or connection.invalidated:
            connection = self.engine.connect().execution_options(certledger_write=True)
        try:
            with connection.begin():
                result = work(connection)
        except LedgerError:
            self._keep(connection)
            raise
        except BaseException:
            # What state the connection is in is unknown: an interrupted one must not be kept.
            self._writer = None
            if not self._in_memory:
                connection.invalidate()
            connection.close()
            raise
        self._keep(connection)
        return result

    def _keep(self, connection: Connection) -> None:
        # A kept connection saves a quarter of the time of a small append. An in-memory database
        # has only one, which readers need too.
        if self._in_memory:
            connection.close()
        else:
            self._writer = connection

    def _is_transient(self, error: Exception) -> bool:
        original = _driver_exception(error)
        if self.engine.dialect.name == "sqlite":
            return sqlite.is_transient(original)
        return bool(getattr(error, "connection_invalidated", False))

    def _translated(self, error: Exception) -> LedgerError:
        original = _driver_exception(error)
        if self.engine.dialect.name == "sqlite":
            if sqlite.is_read_only(original):
                return ReadOnlyRegistry(
                    f"{self} cannot be written: {original}; check the permissions of the file "
                    "and its folder"
                )
            if sqlite.is_no_database(original):
                return NotARegistry(f"{self} is not an SQLite database; give another file")
        return StorageUnavailable(f"{self}: {_reason(error)}")

    def close(self) -> None:
        """Close all connections. The database can still be used: it opens new ones."""
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        self.engine.dispose()

    def forget_connections(self) -> None:
        """Abandon connections made before a fork without closing them: they are the parent's."""
        self._write_lock = threading.Lock()
        if self._in_memory:
            return
        if self._writer is not None:
            _abandoned.append(self._writer)
            self._writer = None
        self.engine.dispose(close=False)


_open_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_abandoned: list[Connection] = []


def _after_fork() -> None:
    for database in list(_open_databases):
        database.forget_connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _make_engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url)
    elif sqlite.is_in_memory(url):
        # One connection that callers take turns on: it is the database.
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=RETRY_SECONDS,
            connect_args={"check_same_thread": False},
        )
    else:
        engine = create_engine(sqlite.readable(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", sqlite.set_up)
        event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("certledger_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _driver_exception(error: Exception) -> BaseException:
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        return error.orig
    return error


def _reason(error: Exception) -> str:
    original = _driver_exception(error)
    return str(original) or type(original).__name__


def _hidden(url: Any) -> str:
    text = str(url)
    return text if "@" not in text else "the URL"
