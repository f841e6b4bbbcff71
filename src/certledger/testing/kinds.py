"""The backends that certledger itself has: SQLite in files and in memory, PostgreSQL, MariaDB."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy

from certledger.eventstore.backends.sqlite_files import file_of
from certledger.eventstore.database import Database
from certledger.eventstore.tables import LOG_TABLES
from certledger.testing.backend import Backend, CutOff
from certledger.testing.places import Place, empty_place
from certledger.testing.proxy import Proxy


class Triggered(Backend):
    """A backend whose triggers certledger knows."""

    @contextmanager
    def unguarded(self, url: str) -> Iterator[sqlalchemy.Connection]:
        self.require_shared()
        database = Database(url)
        with self.stranger(url) as connection:
            for name in database.backend.triggers:
                (table,) = (table for table in LOG_TABLES if name.startswith(f"{table}_"))
                database.backend.drop_trigger(connection, name, table)
            yield connection
        # By a session as the registry has it: functions of PostgreSQL keep its search path.
        database.write(lambda own, _: database.backend.create_triggers(own))
        database.close()


@dataclass
class SqliteFile(Triggered):
    """SQLite files, each in a new folder inside of `folder`, by default the system's temporary."""

    folder: Path | None = None
    name = "sqlite"

    @contextmanager
    def empty(self) -> Iterator[str]:
        folder = Path(tempfile.mkdtemp(prefix="certledger-", dir=self.folder))
        try:
            yield f"sqlite:///{folder}/registry.db"
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def locked(self, url: str) -> Iterator[None]:
        with self.stranger(url) as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield
            connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def cut_off(self, url: str) -> Iterator[CutOff]:
        """Give the file to one connection alone."""
        with ExitStack() as stack:

            def close() -> None:
                connection = stack.enter_context(self.stranger(url))
                connection.exec_driver_sql("PRAGMA locking_mode=EXCLUSIVE")
                connection.exec_driver_sql("CREATE TABLE taken (x INTEGER)")

            yield CutOff(url, close)

    def refuse_expiry(self, url: str, serial: int) -> None:
        with self.stranger(url) as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER refuse BEFORE UPDATE ON certificates "
                f"WHEN NEW.serial_number = '{serial}' AND NEW.status = 'expired' "
                "BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: stop'); END"
            )

    @contextmanager
    def reader(self, url: str) -> Iterator[str]:
        yield f"sqlite:///file:{file_of(Database(url).url)}?mode=ro&uri=true"


class SqliteMemory(Backend):
    """SQLite in memory: each handler has a database of its own."""

    name = "sqlite in memory"
    shared = False

    @contextmanager
    def empty(self) -> Iterator[str]:
        yield "sqlite://"


@dataclass
class OnServer(Triggered):
    """Schemas or databases on a server.

    `server` is the URL of an administrator who may make and drop them, and roles.
    """

    server: str
    _places: dict[str, Place] = field(default_factory=dict)

    @contextmanager
    def empty(self) -> Iterator[str]:
        with empty_place(self.name, self.server) as place:
            self._places[place.url] = place
            yield place.url
            del self._places[place.url]

    def proxy(self, url: str) -> AbstractContextManager[Proxy]:
        return Proxy(url)

    @contextmanager
    def cut_off(self, url: str) -> Iterator[CutOff]:
        with self.proxy(url) as proxy:
            yield CutOff(proxy.url, proxy.close)

    def reader(self, url: str) -> AbstractContextManager[str]:
        return self._places[url].reader()


class PostgreSql(OnServer):
    """Schemas of a PostgreSQL database."""

    name = "postgresql"


class MariaDb(OnServer):
    """Databases on a MariaDB or MySQL server."""

    name = "mariadb"
