"""What MariaDB (10.6 and later) and MySQL (8) need, through PyMySQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, bindparam, create_engine, event, text
from sqlalchemy.engine import URL

from certledger.errors import NotARegistry, ReadOnlyRegistry, StorageError, StorageUnavailable
from certledger.eventstore.backends.backend import Backend, Mode, on_begin
from certledger.eventstore.durability.mariadb import REDO_LOG, SETTINGS, symptoms_of_settings
from certledger.eventstore.symptom import Symptom
from certledger.eventstore.triggers.mariadb import TRIGGERS, trigger

_TRANSIENT: Final = frozenset(
    {
        1020,  # the record has changed since it was read (innodb_snapshot_isolation)
        1040,  # too many connections
        1047,  # a Galera node that is not ready
        1205,  # lock wait timeout
        1213,  # deadlock; on Galera: a certification failure
    }
)
_LOST: Final = frozenset({1053, 1927, 2002, 2003, 2006, 2013, 2055})
_DENIED: Final = frozenset({1044, 1142, 1143, 1227, 1290, 1792, 1836})
_NO_DATABASE: Final = frozenset({1046, 1049})
_DUPLICATE: Final = 1062
_SIGNALLED: Final = 1644

_SQL_MODE: Final = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION"
_TRIGGERS_OF: Final = text(
    """
    SELECT trigger_name, action_timing, event_manipulation, event_object_table, action_statement
    FROM information_schema.triggers
    WHERE event_object_schema = database() AND event_object_table IN :tables
    """
).bindparams(bindparam("tables", expanding=True))

_SETTINGS: Final = text("SHOW VARIABLES WHERE Variable_name IN :names").bindparams(
    bindparam("names", expanding=True)
)
_STATUS: Final = text("SHOW GLOBAL STATUS WHERE Variable_name = :name")


class MariaDb(Backend):
    """A database on a MariaDB or MySQL server."""

    name = "mariadb"
    ddl_is_transactional = False
    triggers = TRIGGERS

    def make_engine(self, url: URL, retry_seconds: float) -> Engine:
        """Return an engine whose sessions refuse what does not fit, whatever the server's
        defaults are.
        """
        defaults = {"connect_timeout": 10, "charset": "utf8mb4"}
        engine = create_engine(
            url, connect_args={k: v for k, v in defaults.items() if k not in url.query}
        )
        self.set_up_sessions(engine, retry_seconds)
        return engine

    def set_up_sessions(self, engine: Engine, retry_seconds: float) -> None:
        wait = max(1, int(min(10.0, retry_seconds)))

        def set_up(connection: Any, record: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SET SESSION sql_mode = %s, time_zone = '+00:00', "
                    "innodb_lock_wait_timeout = %s",
                    (_SQL_MODE, wait),
                )
            record.info.pop(_LEVEL, None)

        event.listen(engine, "connect", set_up)
        on_begin(engine, _begin)

    def is_transient(self, error: BaseException) -> bool:
        return _code(error) in _TRANSIENT

    def is_lost(self, error: BaseException) -> bool:
        import pymysql  # noqa: PLC0415 # an optional package, there where its errors are

        # Of a connection that is closed already, PyMySQL says InterfaceError(0, "").
        closed = isinstance(error, pymysql.err.InterfaceError) and _code(error) == 0
        return closed or _code(error) in _LOST

    def explain(self, error: BaseException, database: str) -> StorageError | None:
        code = _code(error)
        if code in _DENIED:
            return ReadOnlyRegistry(
                f"{database} cannot be written: {self.text_of(error)}; connect as a user who may "
                "do this"
            )
        if code in _NO_DATABASE:
            return NotARegistry(f"{database}: {self.text_of(error)}; create it first")
        if self.is_lost(error):
            return StorageUnavailable(f"{database}: {self.text_of(error)}")
        return None

    def is_duplicate(self, error: BaseException) -> bool:
        return _code(error) == _DUPLICATE

    def text_of(self, error: BaseException) -> str:
        return str(error.args[1]) if len(error.args) > 1 else str(error)

    @contextmanager
    def making(self, connection: Connection) -> Iterator[None]:
        # Every CREATE TABLE commits, so a lock of a transaction would be gone after the first.
        name = text("concat('certledger ', sha1(database()))")
        connection.execute(text(f"SELECT get_lock({name}, 60)"))
        try:
            yield
        finally:
            connection.execute(text(f"SELECT release_lock({name})"))

    def stored_triggers(self, connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
        found = connection.execute(_TRIGGERS_OF, {"tables": list(tables)})
        return {
            name: trigger(name, f"{timing} {verb}", table, body)
            for name, timing, verb, table, body in found
        }

    def weaknesses(self, connection: Connection) -> list[Symptom]:
        found = dict(connection.execute(_SETTINGS, {"names": list(SETTINGS)}).tuples().all())
        found.update(connection.execute(_STATUS, {"name": REDO_LOG}).tuples().all())
        return list(symptoms_of_settings(found))


_LEVEL: Final = "certledger isolation"


def _begin(connection: Connection, mode: Mode | None) -> None:
    level = "REPEATABLE READ" if mode in {Mode.READ, Mode.ALONE} else "READ COMMITTED"
    info = connection.info
    driver: Any = connection.connection.dbapi_connection
    with driver.cursor() as cursor:
        if info.get(_LEVEL) != level:
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
            info[_LEVEL] = level
        if mode is Mode.READ:
            cursor.execute("START TRANSACTION READ ONLY")


def _code(error: BaseException) -> int:
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else -1
