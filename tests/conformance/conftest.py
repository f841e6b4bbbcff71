"""The databases on which the suite is run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from certledger.testing.backend import Backend, Server
from certledger.testing.kinds import MariaDb, PostgreSql, SqliteFile, SqliteMemory
from tests.support.own_servers import (
    NO_MARIADB,
    NO_POSTGRESQL,
    OwnMariaDB,
    OwnPostgreSQL,
    OwnServer,
    mariadb_programs,
    postgresql_programs,
)
from tests.support.servers import empty_place, skip_without

# Nothing here tests that files reach a disk, so they may live in memory.
FOLDER = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


@dataclass(frozen=True)
class OwnPlace:
    """A server of the test, and an empty place on it."""

    url: str
    server: OwnServer

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()


class OurPostgreSql(PostgreSql):
    @contextmanager
    def own_server(self) -> Iterator[Server]:
        if postgresql_programs() is None:
            skip_without("postgresql", NO_POSTGRESQL)
        with OwnPostgreSQL() as server, empty_place(server.kind, server.url) as place:
            yield OwnPlace(place.url, server)


class OurMariaDb(MariaDb):
    @contextmanager
    def own_server(self) -> Iterator[Server]:
        if mariadb_programs() is None:
            pytest.skip(NO_MARIADB)  # a server elsewhere may be required without programs here
        with OwnMariaDB() as server, empty_place(server.kind, server.url) as place:
            yield OwnPlace(place.url, server)


@pytest.fixture(scope="session", params=["sqlite", "memory", "postgresql", "mariadb"])
def backend(request: pytest.FixtureRequest) -> Backend:
    match request.param:
        case "sqlite":
            return SqliteFile(FOLDER)
        case "memory":
            return SqliteMemory()
        case "postgresql":
            return OurPostgreSql(request.getfixturevalue("postgresql_server"))
    return OurMariaDb(request.getfixturevalue("mariadb_server"))
