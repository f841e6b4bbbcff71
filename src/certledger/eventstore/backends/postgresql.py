"""What PostgreSQL needs, 13 and later, through psycopg 3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL

from certledger.errors import (
    NotARegistry,
    ReadOnlyRegistry,
    StorageError,
    StorageUnavailable,
    UnreadableValue,
)
from certledger.eventstore.backends import postgresql_catalog as catalog
from certledger.eventstore.backends.backend import Backend, Mode, on_begin
from certledger.eventstore.backends.postgresql_sessions import (
    SCHEMAS_OF_CALLERS,
    Pin,
    SetUp,
    reading_what_is_stored,
)
from certledger.eventstore.symptom import Symptom
from certledger.eventstore.triggers.postgresql import TRIGGERS

_TRANSIENT: Final = frozenset(
    {
        "40001",  # serialization_failure, also on a standby: conflict with recovery
        "40P01",  # deadlock_detected
        "53300",  # too_many_connections
        "55P03",  # lock_not_available
    }
)
_WAITING: Final = (
    "too many clients",
    "remaining connection slots",
    "too many connections",
    "the database system is starting up",
    "the database system is in recovery mode",
    "not yet accepting connections",
)
"""Why a server takes no connection just now; libpq gives no code for what happens so early."""
_LOST: Final = frozenset(
    {
        "25P03",  # idle_in_transaction_session_timeout
        "57P01",  # admin_shutdown, which is also an ended session
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "57P05",  # idle_session_timeout
    }
)
_DENIED: Final = "42501"
_READ_ONLY: Final = "25006"
_NO_SCHEMA: Final = frozenset({"3F000", "3D000"})

_DEFAULTS: Final = {
    "application_name": "certledger",
    "client_encoding": "utf8",
    "connect_timeout": "10",
    # A server that vanished without a word is given up after a minute, not after hours.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


class PostgreSql(Backend):
    """A PostgreSQL database, or a schema in it."""

    name = "postgresql"
    triggers = TRIGGERS

    def make_engine(self, url: URL, retry_seconds: float) -> Engine:
        """Return an engine whose sessions are in UTC, commit durably and see one schema, whatever
        the server's defaults are.
        """
        options = {k: v for k, v in _DEFAULTS.items() if k not in url.query}
        engine = create_engine(url, connect_args=options)
        self.set_up_sessions(engine, retry_seconds)
        event.listen(engine, "connect", Pin(url))
        on_begin(engine, _begin)
        return engine

    def set_up_sessions(self, engine: Engine, retry_seconds: float) -> None:
        event.listen(engine, "connect", SetUp(wait_seconds=min(10.0, retry_seconds)))

    def is_transient(self, error: BaseException) -> bool:
        state = getattr(error, "sqlstate", None)
        if state is None:
            return any(words in str(error) for words in _WAITING)
        return state in _TRANSIENT

    def is_lost(self, error: BaseException) -> bool:
        import psycopg  # noqa: PLC0415 # an optional package, there where its errors are

        state = getattr(error, "sqlstate", None)
        if state is None:
            lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
            return lost and not self.is_transient(error)
        return state in _LOST or state.startswith("08")

    def explain(self, error: BaseException, database: str) -> StorageError | None:
        import psycopg  # noqa: PLC0415 # an optional package, there where its errors are

        state = getattr(error, "sqlstate", None)
        words = self.text_of(error)
        if state == _DENIED:
            return ReadOnlyRegistry(
                f"{database}: the server does not let this role do that: {words}; connect as a "
                "role with the privilege for it"
            )
        if state == _READ_ONLY:
            return ReadOnlyRegistry(
                f"{database} cannot be written: {words}; connect to the primary, as a role "
                "without default_transaction_read_only"
            )
        if state in _NO_SCHEMA:
            return NotARegistry(f"{database}: {words}; create it first")
        if state is None and isinstance(error, psycopg.DataError):
            return UnreadableValue(words)
        if self.is_lost(error):
            return StorageUnavailable(f"{database}: {words}")
        return None

    def text_of(self, error: BaseException) -> str:
        diagnosis = getattr(error, "diag", None)
        words = getattr(diagnosis, "message_primary", None) or str(error)
        return " ".join(words.split())  # libpq writes several lines

    @contextmanager
    def making(self, connection: Connection) -> Iterator[None]:
        # Held until the transaction ends. Two CREATE TABLE at once would fail otherwise.
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('certledger'), hashtext(current_schema()))")
        )
        catalog.check_encoding(connection)
        yield

    def drop_trigger(self, connection: Connection, name: str, table: str) -> None:
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {name}()")

    def stored_triggers(self, connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
        return catalog.stored_triggers(connection, tables)

    def interferences(self, connection: Connection, tables: tuple[str, ...]) -> list[Symptom]:
        return catalog.interferences(connection, tables)

    def weaknesses(self, connection: Connection) -> list[Symptom]:
        return catalog.weaknesses(connection)

    @contextmanager
    def values_as_stored(self, connection: Connection) -> Iterator[None]:
        """Read times that Python cannot have as text: 'infinity', and those before the year 1 or
        after 9999.
        """
        with reading_what_is_stored(connection.connection.dbapi_connection):
            yield


def _begin(connection: Connection, mode: Mode | None) -> None:
    """Say what BEGIN is to say; psycopg sends it with the first statement."""
    from psycopg import IsolationLevel  # noqa: PLC0415 # an optional package

    driver: Any = connection.connection.dbapi_connection
    snapshot = mode in {Mode.READ, Mode.ALONE}
    level = IsolationLevel.REPEATABLE_READ if snapshot else IsolationLevel.READ_COMMITTED
    if driver.isolation_level is not level:
        driver.isolation_level = level
    # Making a temporary table counts as writing. Whose default is to write nothing shall keep it.
    read_only = {Mode.READ: True, Mode.ALONE: False}.get(mode) if mode else None
    if driver.read_only is not read_only:
        driver.read_only = read_only
    if mode is None and SCHEMAS_OF_CALLERS in connection.info:
        given = connection.info[SCHEMAS_OF_CALLERS]
        driver.execute("SELECT set_config('search_path', %s, true)", (given,))
