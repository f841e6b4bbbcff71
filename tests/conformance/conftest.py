"""The databases on which the suite is run."""

from __future__ import annotations

import pytest

from certledger.testing.backend import Backend
from certledger.testing.kinds import MariaDb, PostgreSql, SqliteFile, SqliteMemory


@pytest.fixture(scope="session", params=["sqlite", "memory", "postgresql", "mariadb"])
def backend(request: pytest.FixtureRequest) -> Backend:
    match request.param:
        case "sqlite":
            return SqliteFile()
        case "memory":
            return SqliteMemory()
        case "postgresql":
            return PostgreSql(request.getfixturevalue("postgresql_server"))
    return MariaDb(request.getfixturevalue("mariadb_server"))
