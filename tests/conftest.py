"""Fixtures of all tests: a registry in a real SQLite file, servers, and a clock that obeys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import certledger
from certledger.testing.clock import FakeClock
from tests.support.own_servers import (
    NO_MARIADB,
    NO_POSTGRESQL,
    OwnMariaDB,
    OwnPostgreSQL,
    mariadb_programs,
    postgresql_programs,
)
from tests.support.servers import Place, empty_place, running, skip_without

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("certledger", deadline=None)
hypothesis.settings.load_profile("certledger")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the registry of the test lies."""
    return tmp_path / "registry.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture
def ledger(url: str, clock: FakeClock) -> Iterator[certledger.Ledger]:
    """An empty registry whose time is the fixture `clock`'s."""
    with certledger.Ledger(url, clock=clock) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """Where an administrator connects to PostgreSQL: the one that is given, or one started here."""
    with running("postgresql") as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """Where an administrator connects to the MariaDB or MySQL that is given."""
    with running("mariadb") as server:
        yield server


@pytest.fixture
def postgresql(postgresql_server: str) -> Iterator[Place]:
    """An empty schema of PostgreSQL; the registry's URL is its `url`."""
    with empty_place("postgresql", postgresql_server) as place:
        yield place


@pytest.fixture
def mariadb(mariadb_server: str) -> Iterator[Place]:
    """An empty database of MariaDB or MySQL; the registry's URL is its `url`."""
    with empty_place("mariadb", mariadb_server) as place:
        yield place


@pytest.fixture
def own_postgresql() -> Iterator[OwnPostgreSQL]:
    """A PostgreSQL of the test alone, which it may kill."""
    if postgresql_programs() is None:
        skip_without("postgresql", NO_POSTGRESQL)
    with OwnPostgreSQL() as server:
        yield server


@pytest.fixture
def own_mariadb() -> Iterator[OwnMariaDB]:
    """A MariaDB of the test alone, which it may kill."""
    if mariadb_programs() is None:
        pytest.skip(NO_MARIADB)  # a server elsewhere can be required without programs here
    with OwnMariaDB() as server:
        yield server
