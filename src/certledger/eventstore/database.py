"""A database and its units of work: connections set up right, one writer at a time, retries."""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, exc
from sqlalchemy.engine import URL
from sqlalchemy.pool import Pool

from certledger.errors import (
    ConstraintFailed,
    InvalidValue,
    LedgerError,
    LogCorrupt,
    StorageUnavailable,
)
from certledger.eventstore.backends import MODE_OPTION, READING_OPTION, Mode, backend_of
from certledger.eventstore.backends.liveness import Liveness
from certledger.eventstore.backends.sqlite_files import file_of
from certledger.eventstore.urls import sync_url, with_schema

RETRY_SECONDS: Final = 30.0
"""How long a unit of work is tried again before `StorageUnavailable`."""

_LONGEST_PAUSE = 0.5

Result = TypeVar("Result")


class Database:
    """An engine with the settings that durability needs, and units of work on it.

    Safe to use from several threads. After `os.fork` both sides make connections of their own; a
    process should not fork while a connection is lent or a unit of work goes on.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        schema: str | None = None,
        retry_seconds: float = RETRY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the engine; nothing is opened yet.

        A URL may name an asynchronous driver: its synchronous sibling is used. `schema` is where
        the registry lies in a PostgreSQL database that it shares with others; on MariaDB and MySQL
        a schema is a database. `retry_seconds` is how long a database that others have locked, or
        that went away, is tried again.

        Raises `InvalidValue` for a text that is no database URL or names a missing driver, and for
        a schema that can be none.
        """
        try:
            self.url = with_schema(sync_url(url), schema)
            self.backend = backend_of(self.url)
            self.engine = self.backend.make_engine(self.url, retry_seconds)
        except InvalidValue:
            raise
        except (exc.ArgumentError, exc.NoSuchModuleError, ImportError) as error:
            message = f"{_hidden(url)} is no database URL that can be used here: {error}"
            raise InvalidValue(message) from error
        except ValueError:  # of a port or a time-out; its text may be of the password
            message = f"{_hidden(url)} is no database URL: a number is wrong in it"
            raise InvalidValue(message) from None
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._readers = self.engine.execution_options(**{MODE_OPTION: Mode.READ})
        self._writers = self.engine.execution_options(**{MODE_OPTION: Mode.WRITE})
        self.in_memory = self.backend.is_in_memory(self.url)
        """Whether there is but one connection, which everybody takes turns on."""
        self._liveness = Liveness(self.engine) if self.backend.name != "sqlite" else None
        # A fork may come from inside of a unit of work, in the thread that holds the lock.
        self._write_lock = threading.RLock()
        self._fork_waited = False
        self._driver_error: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        self._kept = _Kept(self.engine)
        # Drivers warn of a connection that is dropped; callers need not close a database.
        weakref.finalize(self, self._kept.close)
        _open_databases.add(self)

    def __str__(self) -> str:
        """Return the URL without its password."""
        secrets = {name: "***" for name in self.url.query if "pass" in name.lower()}
        return self.url.update_query_dict(secrets).render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The path of an SQLite file, None for other databases."""
        return file_of(self.url)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in one read transaction: one snapshot for all that it reads.

        Raises what `work` raises, or the `StorageError` that tells why nothing can be read.
        """

        def once(_retrying: bool) -> Result:
            with self._readers.connect() as connection, self._dropping_lost(connection):
                # Rolled back when it is given back to the pool: one way to the server, not two.
                connection.begin()
                return work(connection)

        return self._persistently(once)

    def write(self, work: Callable[[Connection, bool], Result]) -> Result:
        """Run `work(connection, retrying)` in one write transaction and commit it.

        After a conflict or a lost connection it is run again, for at most `retry_seconds`. Then
        `retrying` is true, and the work must find out whether the earlier try was committed.

        Raises what `work` raises, `ReadOnlyRegistry`, or `StorageUnavailable` with attempts and
        time.
        """

        def once(retrying: bool) -> Result:
            with self._write_lock:
                return self._write_once(work, retrying)

        return self._persistently(once)

    @contextmanager
    def connect_alone(self, *, reading: bool = False) -> Iterator[Connection]:
        """Lend a connection that nobody else gets, for a long job with temporary tables.

        With `reading` there are none, and its transactions are possible where nothing can be
        written. The caller begins them, with `transaction`. An in-memory database has but one
        connection: everybody else waits until it is given back.
        """
        with self._translating(), self.engine.connect() as connection:
            if self._liveness is not None:
                self._liveness.refresh(connection)
            if not self.in_memory:
                connection.detach()
            yield connection.execution_options(**{READING_OPTION: reading})

    @contextmanager
    def transaction(self, connection: Connection, *, writing: bool = False) -> Iterator[None]:
        """Begin a transaction on a connection lent by `connect_alone`, and commit it."""
        alone = Mode.READ if connection.get_execution_options()[READING_OPTION] else Mode.ALONE
        connection.execution_options(**{MODE_OPTION: Mode.WRITE if writing else alone})
        with self._translating(), self._dropping_lost(connection):
            if not writing:
                with connection.begin():
                    yield
            else:
                with self._write_lock, connection.begin():
                    yield

    def set_up_sessions(self, engine: Engine) -> None:
        """Set up the connections of another engine on this database as its own are."""
        self.backend.set_up_sessions(engine, self._retry_seconds)

    def close(self) -> None:
        """Close all connections. The database can still be used: it opens new ones."""
        with self._write_lock:
            self._kept.close()

    def before_fork(self) -> None:
        """Wait for the change that another thread is making, and close all idle connections.

        SQLite knows its locks by process and file. With a connection that was carried over, the
        child would think it had the parent's locks, and write into a log that the parent removes.
        """
        self._fork_waited = self._write_lock.acquire(timeout=self._retry_seconds)
        writer = self._kept.writer
        if not self.in_memory and not (writer and writer.in_transaction()):
            self._kept.close()

    def after_fork_in_parent(self) -> None:
        """Let others write again."""
        if self._fork_waited:
            self._write_lock.release()

    def after_fork_in_child(self) -> None:
        """Abandon, without closing them, connections that were in use: they are the parent's."""
        self._write_lock = threading.RLock()
        if self.in_memory:
            return
        _abandoned.append((self._kept.writer, self.engine.pool))
        self._kept.writer = None
        self.engine.dispose(close=False)

    def _persistently(self, once: Callable[[bool], Result]) -> Result:
        started = self._clock()
        attempts = 0
        while True:
            attempts += 1
            try:
                result = once(attempts > 1)
            except (exc.SQLAlchemyError, self._driver_error) as error:
                if not self._may_pass(error):
                    raise self._translated(error) from error
                spent = self._clock() - started
                if spent >= self._retry_seconds:
                    raise StorageUnavailable(
                        f"{self}: {self._reason(error)}", attempts=attempts, seconds=spent
                    ) from error
            else:
                return result
            pause = min(_LONGEST_PAUSE, 0.005 * 2 ** min(attempts, 7))
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 # jitter, not a secret

    def _write_once(self, work: Callable[[Connection, bool], Result], retrying: bool) -> Result:
        connection = self._kept.writer
        if connection is None or connection.closed or connection.invalidated:
            connection = self._writers.connect()
        try:
            with connection.begin():
                result = work(connection, retrying)
        except LedgerError:
            self._keep(connection)
            raise
        except BaseException:
            # What state the connection is in is unknown: an interrupted one must not be kept.
            self._kept.writer = None
            if not self.in_memory:
                connection.invalidate()
            connection.close()
            raise
        self._keep(connection)
        return result

    @contextmanager
    def _dropping_lost(self, connection: Connection) -> Iterator[None]:
        """Close a connection whose server is gone: rolling back on it would be another error."""
        try:
            yield
        except (exc.SQLAlchemyError, self._driver_error) as error:
            if self.backend.is_lost(_driver_exception(error)):
                connection.invalidate()
            raise

    def _keep(self, connection: Connection) -> None:
        # A kept connection saves a quarter of the time of a small append. An in-memory database
        # has only one, which readers need too.
        if self.in_memory:
            connection.close()
        else:
            self._kept.writer = connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (exc.SQLAlchemyError, self._driver_error) as error:
            raise self._translated(error) from error

    def _may_pass(self, error: Exception) -> bool:
        """Tell whether trying again may help. A server that never answered is not waited for."""
        original = _driver_exception(error)
        if self.backend.is_lost(original):
            return self._liveness is not None and self._liveness.reached
        return self.backend.is_transient(original)

    def _translated(self, error: Exception) -> LedgerError:
        original = _driver_exception(error)
        text = self.backend.text_of(original)
        if text.startswith("log_"):  # the triggers of the log
            return LogCorrupt(text)
        if isinstance(original, self.engine.dialect.loaded_dbapi.IntegrityError):
            return ConstraintFailed(f"{self} refused the change: {text}")
        known = self.backend.explain(original, str(self))
        return known or StorageUnavailable(f"{self}: {self._reason(error)}")

    def _reason(self, error: Exception) -> str:
        original = _driver_exception(error)
        return self.backend.text_of(original) or type(original).__name__


class _Kept:
    """The connections that a database keeps: the engine's pool, and the one of its changes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.writer: Connection | None = None

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None
        self._engine.dispose()


_open_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_abandoned: list[tuple[Connection | None, Pool]] = []
_forking = threading.local()


def _before_fork() -> None:
    # In one order, as two threads may fork at once.
    _forking.databases = sorted(_open_databases, key=id)
    for database in _forking.databases:
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in _forking.databases:
        database.after_fork_in_parent()
    _forking.databases = []


def _after_fork_in_child() -> None:
    for database in _forking.databases:
        database.after_fork_in_child()
    _forking.databases = []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


def database_of(
    url: str | URL | Database, *, schema: str | None, retry_seconds: float = RETRY_SECONDS
) -> Database:
    """Return a database that is given by its URL, or as itself.

    Raises `InvalidValue` for a schema beside a `Database`, and what `Database` raises.
    """
    if not isinstance(url, Database):
        return Database(url, schema=schema, retry_seconds=retry_seconds)
    if schema is not None:
        message = f"schema {schema!r}: a Database has its own; give the schema to that, or a URL"
        raise InvalidValue(message)
    return url


def _driver_exception(error: BaseException) -> BaseException:
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        return error.orig
    return error


def _hidden(url: Any) -> str:
    text = str(url)
    return "the URL" if "@" in text or "pass" in text.lower() else repr(text)
