"""A handler over a registry whose time obeys, and certificates of that time."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import certledger
from certledger.db.sync_db_manager import SyncDBHandler
from tests.support.certificates import make_certificate
from tests.support.clock import FakeClock
from tests.support.facade import Issue


@pytest.fixture
def handler(ledger: certledger.Ledger) -> SyncDBHandler:
    return SyncDBHandler.over(ledger)


@pytest.fixture
def issue(clock: FakeClock) -> Issue:
    """Makes certificates whose validity is told in days from the clock's now."""
    return Issue(clock)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the library logs, down to INFO."""
    with caplog.at_level(logging.INFO, logger=certledger.DEFAULT_LOGGER.name):
        yield caplog


@pytest.fixture
def broken(handler: SyncDBHandler) -> SyncDBHandler:
    """A handler with one certificate whose database then loses its table."""
    handler.register_cert_in_db(make_certificate(), uuid="broken")
    with handler._db._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE certificates")
    return handler


@pytest.fixture
def hold_lock(file: Path) -> Iterator[Callable[[], sqlite3.Connection]]:
    """Lets another connection take the write lock and keep it until the end of the test."""
    other = sqlite3.connect(file, isolation_level=None)

    def take() -> sqlite3.Connection:
        other.execute("BEGIN IMMEDIATE")
        return other

    yield take
    other.close()


@pytest.fixture
def impatient(url: str, clock: FakeClock) -> Iterator[SyncDBHandler]:
    """A handler that gives up after a tenth of a second, with one valid certificate."""
    with certledger.Ledger(url, clock=clock, retry_seconds=0.1) as ledger:
        handler = SyncDBHandler.over(ledger)
        handler.register_cert_in_db(make_certificate("one", serial=1), "one")
        yield handler
