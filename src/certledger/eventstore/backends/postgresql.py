"""What PostgreSQL needs, 13 and later, through psycopg 3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL

from certledger.errors import StorageError
from certledger.eventstore.backends import postgresql_catalog as catalog
from certledger.eventstore.backends import postgresql_errors as errors
from certledger.eventstore.backends.backend import Backend, Mode, on_begin
from certledger.eventstore.backends.postgresql_options import split_search_path
from certledger.eventstore.backends.postgresql_remaking import kept
from certledger.eventstore.backends.postgresql_sessions import (
    Session,
    SetUp,
    facts_of,
    in_one_go,
    reading_what_is_stored,
    set_up_transaction,
)
from certledger.eventstore.symptom import Symptom
from certledger.eventstore.triggers.postgresql import TRIGGERS

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
        arguments = {k: v for k, v in _DEFAULTS.items() if k not in url.query}
        # PgBouncer takes no options, so what the session can set itself is none.
        arguments["options"], search_path = split_search_path(url)
        engine = create_engine(url, connect_args=arguments)
        session = Session(wait_seconds=_wait(retry_seconds), search_path=search_path)
        event.listen(engine, "connect", session)
        on_begin(engine, _begin)
        return engine

    def set_up_sessions(self, engine: Engine, retry_seconds: float) -> None:
        event.listen(engine, "connect", SetUp(wait_seconds=_wait(retry_seconds)))

    def is_transient(self, error: BaseException) -> bool:
        return errors.is_transient(error)

    def is_lost(self, error: BaseException) -> bool:
        return errors.is_lost(error)

    def explain(self, error: BaseException, database: str) -> StorageError | None:
        return errors.explain(error, database)

    def text_of(self, error: BaseException) -> str:
        return errors.text_of(error)

    def together(self, connection: Connection) -> AbstractContextManager[None]:
        if not facts_of(connection).far:
            return nullcontext()
        return in_one_go(connection.connection.dbapi_connection)

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

    @contextmanager
    def remaking(self, connection: Connection, table: str) -> Iterator[None]:
        with kept(connection, table):
            yield

    def stored_triggers(self, connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
        return catalog.stored_triggers(connection, tables)

    def has_temporary_tables(self, connection: Connection) -> bool:
        return not facts_of(connection).pooled and catalog.has_temporary_tables(connection)

    def interferences(self, connection: Connection, tables: tuple[str, ...]) -> list[Symptom]:
        return catalog.interferences(connection, tables)

    def weaknesses(self, connection: Connection) -> list[Symptom]:
        return catalog.weaknesses(connection)

    def take_statistics(self, connection: Connection, tables: tuple[str, ...]) -> None:
        # Autovacuum would, but up to a minute later; until then look-ups by stream are slow.
        connection.exec_driver_sql(f"ANALYZE {', '.join(tables)}")

    @contextmanager
    def values_as_stored(self, connection: Connection) -> Iterator[None]:
        """Read times that Python cannot have as text: 'infinity', and those before the year 1 or
        after 9999.
        """
        with reading_what_is_stored(connection.connection.dbapi_connection):
            yield


def _wait(retry_seconds: float) -> float:
    """Return how long a lock is waited for: a part of the time for which a change is tried."""
    return min(10.0, retry_seconds)


def _begin(connection: Connection, mode: Mode | None) -> None:
    """Say what BEGIN is to say; psycopg sends it with the first statement."""
    from psycopg import IsolationLevel  # noqa: PLC0415 # an optional package

    driver: Any = connection.connection.dbapi_connection
    if driver.autocommit:  # since `in_one_go`
        driver.autocommit = False
    snapshot = mode in {Mode.READ, Mode.ALONE}
    level = IsolationLevel.REPEATABLE_READ if snapshot else IsolationLevel.READ_COMMITTED
    if driver.isolation_level is not level:
        driver.isolation_level = level
    # Making a temporary table counts as writing. Whose default is to write nothing shall keep it.
    read_only = {Mode.READ: True, Mode.ALONE: False}.get(mode) if mode else None
    if driver.read_only is not read_only:
        driver.read_only = read_only
    set_up_transaction(driver, facts_of(connection), of_caller=mode is None)
