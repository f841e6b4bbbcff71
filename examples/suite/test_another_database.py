"""Another database, held to what the registry promises on every database."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from certledger import testing


class AnotherDatabase(testing.SqliteFile):
    """SQLite files with names that need care. Yours may be a server that talks as PostgreSQL."""

    name = "another database"

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Lend the URL of an empty database, and remove the database at the end."""
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/100 % Ünï.db"


@pytest.fixture
def backend() -> testing.Backend:
    return AnotherDatabase()


class TestContract(testing.Contract):
    """The rules of the contract."""


class TestLifecycle(testing.Lifecycle):
    """What happens to certificates, and in which order it may."""


class TestConcurrency(testing.Concurrency):
    """Many processes and threads at once."""

    commands = 10


class TestCrashes(testing.Crashes):
    """Clients, servers and connections that die."""

    kills = 2


class TestChecks(testing.Checks):
    """Drift, rebuild, verify and proofs."""


class TestReading(testing.Reading):
    """Those who may only read."""
