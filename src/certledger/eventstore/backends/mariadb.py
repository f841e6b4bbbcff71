"""What MariaDB (10.6 and later) and MySQL (8) need, through PyMySQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, bindparam, create_engine, event, text
from sqlalchemy.engine import URL

from certledger.errors import StorageError, StorageUnavailable
from certledger.eventstore.backends import mariadb_catalog as catalog
from certledger.eventstore.backends import mariadb_errors as errors
from certledger.eventstore.backends import mariadb_remaking
from certledger.eventstore.backends.backend import Backend, on_begin
from certledger.eventstore.backends.mariadb_sessions import SetUp, begin, reset
from certledger.eventstore.durability.mariadb import REDO_LOG, SETTINGS, symptoms_of_settings
from certledger.eventstore.symptom import Symptom
from certledger.eventstore.tables import LOG_TABLES
from certledger.eventstore.triggers.mariadb import TRIGGERS

_SETTINGS: Final = text("SHOW VARIABLES WHERE Variable_name IN :names").bindparams(
    bindparam("names", expanding=True)
)
_STATUS: Final = text("SHOW GLOBAL STATUS WHERE Variable_name = :name")

_MAKING: Final = "concat('certledger ', sha1(database()))"
_WAIT_FOR_MAKING: Final = 60
_TAKE: Final = text(f"SELECT get_lock({_MAKING}, {_WAIT_FOR_MAKING})")
_GIVE_BACK: Final = text(f"SELECT release_lock({_MAKING})")


class MariaDb(Backend):
    """A database on a MariaDB or MySQL server."""

    name = "mariadb"
    ddl_is_transactional = False
    triggers = TRIGGERS

    def make_engine(self, url: URL, retry_seconds: float) -> Engine:
        """Return an engine whose sessions refuse what does not fit, whatever the server's
        defaults are.
        """
        # Over the URL's: with another character set, or with every statement committed by
        # itself, the registry would not be one.
        options: dict[str, Any] = {"charset": "utf8mb4", "use_unicode": True, "autocommit": False}
        if url.password is not None:
            options["password"] = url.password.encode()  # the driver would take it for Latin-1
        if "connect_timeout" not in url.query:
            options["connect_timeout"] = 10
        engine = create_engine(url, connect_args=options, pool_reset_on_return=None)
        event.listen(engine, "reset", reset)
        self.set_up_sessions(engine, retry_seconds)
        return engine

    def set_up_sessions(self, engine: Engine, retry_seconds: float) -> None:
        # First, as SQLAlchemy then asks the session for its way of quoting.
        set_up = SetUp(wait_seconds=min(10.0, retry_seconds))
        event.listen(engine, "connect", set_up, insert=True)
        on_begin(engine, begin)

    def is_transient(self, error: BaseException) -> bool:
        return errors.code_of(error) in errors.TRANSIENT

    def is_lost(self, error: BaseException) -> bool:
        return errors.is_lost(error)

    def is_duplicate(self, error: BaseException) -> bool:
        return errors.code_of(error) == errors.DUPLICATE

    def explain(self, error: BaseException, database: str) -> StorageError | None:
        return errors.explain(error, database)

    def text_of(self, error: BaseException) -> str:
        return errors.text_of(error)

    @contextmanager
    def making(self, connection: Connection) -> Iterator[None]:
        # Every CREATE TABLE commits, so a lock of a transaction would be gone after the first.
        if connection.scalar(_TAKE) != 1:
            message = (
                f"others have been making or changing the tables for {_WAIT_FOR_MAKING} seconds; "
                "try again"
            )
            raise StorageUnavailable(message)
        driver: Any = connection.connection.dbapi_connection
        try:
            yield
            driver.commit()  # before anybody else looks at what is there
        finally:
            if driver.open:  # else the lock is gone with the connection
                connection.execute(_GIVE_BACK)

    def create_triggers(self, connection: Connection) -> None:
        # Some are there already where the making of a registry was broken off.
        there = self.stored_triggers(connection, LOG_TABLES)
        for name, ddl in self.triggers.items():
            if name not in there:
                connection.exec_driver_sql(ddl)

    def stored_triggers(self, connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
        return catalog.stored_triggers(connection, tables, frozenset(self.triggers))

    def interferences(self, connection: Connection, tables: tuple[str, ...]) -> list[Symptom]:
        return list(catalog.foreign_engines(connection, tables))

    def opens_temporary_tables_twice(self, connection: Connection) -> bool:
        # MySQL: "Can't reopen table".
        return bool(getattr(connection.dialect, "is_mariadb", False))

    def faults_of_storage(self, connection: Connection, table: Table) -> list[str]:
        return [
            *(symptom.message for symptom in catalog.foreign_engines(connection, (table.name,))),
            *catalog.inexact_columns(connection, table),
        ]

    def put_in_place(self, connection: Connection, new: str, name: str) -> None:
        mariadb_remaking.put_in_place(connection, new, name)

    def weaknesses(self, connection: Connection) -> list[Symptom]:
        found: dict[str, str] = {}
        for query, values in (
            (_SETTINGS, {"names": list(SETTINGS)}),
            (_STATUS, {"name": REDO_LOG}),
        ):
            found.update(
                (str(name), str(value)) for name, value in connection.execute(query, values)
            )
        return list(symptoms_of_settings(found))
