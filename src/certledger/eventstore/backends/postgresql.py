"""What PostgreSQL needs, 13 and later, through psycopg 3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, bindparam, create_engine, event, text
from sqlalchemy.engine import URL

from certledger.errors import NotARegistry, ReadOnlyRegistry, StorageError, StorageUnavailable
from certledger.eventstore.backends.backend import Backend, Mode, on_begin
from certledger.eventstore.triggers.postgresql import TRIGGERS, trigger

_TRANSIENT: Final = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
    }
)
_LOST: Final = frozenset({"57P01", "57P02", "57P03"})
"""The server is shutting down, has crashed, or is starting."""
_DENIED: Final = "42501"
_READ_ONLY: Final = "25006"
_NO_SCHEMA: Final = frozenset({"3F000", "3D000"})
_FULL: Final = "too many clients", "remaining connection slots"

_SET_UP: Final = """
    SELECT set_config('TimeZone', 'UTC', false),
           set_config('lock_timeout', %(wait)s, false),
           CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', false) END
"""
_TRIGGERS_OF: Final = text(
    """
    SELECT t.tgname, c.relname, t.tgtype, t.tgenabled, p.prosrc
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND n.nspname = current_schema() AND c.relname IN :tables
    """
).bindparams(bindparam("tables", expanding=True))
_TIMINGS: Final = {
    (2 | 16): ("BEFORE UPDATE", "STATEMENT"),
    (2 | 8): ("BEFORE DELETE", "STATEMENT"),
    (2 | 32): ("BEFORE TRUNCATE", "STATEMENT"),
    (2 | 16 | 1): ("BEFORE UPDATE", "ROW"),
    (2 | 8 | 1): ("BEFORE DELETE", "ROW"),
    (2 | 4 | 1): ("BEFORE INSERT", "ROW"),
}
"""`pg_trigger.tgtype` of what the registry makes."""


class PostgreSql(Backend):
    """A PostgreSQL database, or a schema in it."""

    name = "postgresql"
    triggers = TRIGGERS

    def make_engine(self, url: URL, retry_seconds: float) -> Engine:
        """Return an engine whose sessions are in UTC and commit durably, whatever the server's
        defaults are.
        """
        defaults = {"connect_timeout": "10", "application_name": "certledger"}
        engine = create_engine(
            url, connect_args={k: v for k, v in defaults.items() if k not in url.query}
        )
        self.set_up_sessions(engine, retry_seconds)
        on_begin(engine, _begin)
        return engine

    def set_up_sessions(self, engine: Engine, retry_seconds: float) -> None:
        from psycopg import IsolationLevel  # noqa: PLC0415 # an optional package

        wait = f"{int(min(10.0, retry_seconds) * 1000)}ms"

        def set_up(connection: Any, _record: object) -> None:
            connection.autocommit = True
            connection.execute(_SET_UP, {"wait": wait})
            connection.autocommit = False
            connection.set_isolation_level(IsolationLevel.READ_COMMITTED)

        event.listen(engine, "connect", set_up)

    def is_transient(self, error: BaseException) -> bool:
        state = getattr(error, "sqlstate", None)
        return state in _TRANSIENT or any(words in str(error) for words in _FULL)

    def is_lost(self, error: BaseException) -> bool:
        import psycopg  # noqa: PLC0415 # an optional package, there where its errors are

        state = getattr(error, "sqlstate", None)
        if state is None:
            return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return state in _LOST or state.startswith("08")

    def explain(self, error: BaseException, database: str) -> StorageError | None:
        state = getattr(error, "sqlstate", None)
        if state in {_DENIED, _READ_ONLY}:
            return ReadOnlyRegistry(
                f"{database} cannot be written: {self.text_of(error)}; connect to the primary, "
                "with a role that may do this"
            )
        if state in _NO_SCHEMA:
            return NotARegistry(f"{database}: {self.text_of(error)}; create it first")
        if self.is_lost(error):
            return StorageUnavailable(f"{database}: {str(error).strip()}")
        return None

    def text_of(self, error: BaseException) -> str:
        diagnosis = getattr(error, "diag", None)
        return getattr(diagnosis, "message_primary", None) or str(error)

    @contextmanager
    def making(self, connection: Connection) -> Iterator[None]:
        # Held until the transaction ends. Two CREATE TABLE at once would fail otherwise.
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('certledger'), hashtext(current_schema()))")
        )
        yield

    def drop_trigger(self, connection: Connection, name: str, table: str) -> None:
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {name}()")

    def stored_triggers(self, connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
        stored = {}
        for name, table, kind, enabled, body in connection.execute(
            _TRIGGERS_OF, {"tables": list(tables)}
        ):
            timing, level = _TIMINGS.get(kind, (f"of the type {kind}", "?"))
            ddl = trigger(name, timing, table, level, body)
            stored[name] = ddl if enabled in {"O", "A"} else f"{ddl} -- disabled"
        return stored

    def weaknesses(self, connection: Connection) -> list[str]:
        found = {
            name: connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar()
            for name in ("fsync", "full_page_writes", "synchronous_commit")
        }
        return [
            f"{name} is off: a crash of the server can lose acknowledged changes; set it to on"
            for name, value in found.items()
            if value == "off"
        ]


def _begin(connection: Connection, mode: Mode | None) -> None:
    """Say what BEGIN is to say; psycopg sends it with the first statement."""
    from psycopg import IsolationLevel  # noqa: PLC0415 # an optional package

    driver: Any = connection.connection.dbapi_connection
    snapshot = mode in {Mode.READ, Mode.ALONE}
    level = IsolationLevel.REPEATABLE_READ if snapshot else IsolationLevel.READ_COMMITTED
    if driver.isolation_level is not level:
        driver.isolation_level = level
    read_only = True if mode is Mode.READ else None
    if driver.read_only is not read_only:
        driver.read_only = read_only
