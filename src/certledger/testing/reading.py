"""Those who may only read: a role, a user, a file that is opened for reading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy

from certledger.db.const import RevokeStatus
from certledger.errors import LedgerError, NotARegistry, ReadOnlyRegistry
from certledger.ledger import Ledger
from certledger.testing.backend import Backend, Flavour, Opened
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from certledger.testing.issue import Issue
from certledger.testing.populated import Populated, populate
from certledger.testing.suite import Open, Suite
from certledger.testing.told import shown
from certledger.testing.whole import check_whole

PLAIN_SQL = [
    "INSERT INTO retired SELECT * FROM retired",
    "UPDATE certificates SET status = 'revoked'",
    "DELETE FROM certificates",
    "DELETE FROM log_entry",
    "UPDATE log_head SET origin = 'other.example.org'",
    "DROP TABLE certificates",
    "ALTER TABLE certificates ADD COLUMN more INTEGER",
    "CREATE TABLE more (x INTEGER)",
]


class Reading(Suite):
    """What a reader sees is what there is, and nothing that a reader does changes it."""

    @pytest.fixture(autouse=True)
    def _of_certledger(self, backend: Backend) -> None:
        backend.require_certledger()

    @pytest.fixture
    def populated(self, url: str, clock: FakeClock) -> Populated:
        """What is in the registry."""
        with Ledger(url, clock=clock) as ledger:
            return populate(ledger, clock)

    @pytest.fixture
    def reader(self, backend: Backend, url: str, populated: Populated) -> Iterator[str]:
        """The URL of one who may only read."""
        with backend.reader(url) as reader:
            yield reader

    @pytest.fixture
    def reading(self, reader: str, open_again: Open) -> Opened:
        return open_again(reader)

    def test_a_reader_is_told_what_a_writer_is(
        self, url: str, reading: Opened, open_again: Open
    ) -> None:
        writing = open_again(url)
        assert shown(reading.handler) == shown(writing.handler)
        assert reading.handler.get_expiring(10_000) != []
        assert reading.ledger is not None
        assert writing.ledger is not None
        assert list(reading.ledger.events()) == list(writing.ledger.events())
        assert reading.ledger.status().head == writing.ledger.head()

    def test_a_reader_can_check_everything(self, reading: Opened) -> None:
        assert reading.ledger is not None
        assert list(reading.ledger.drift()) == []
        assert [found for found in reading.ledger.verify() if found.level == "finding"] == []

    def test_every_change_of_a_reader_is_refused(
        self, url: str, reading: Opened, populated: Populated, issue: Issue, clock: FakeClock
    ) -> None:
        clock.step(days=365)
        before = shown(reading.handler)
        serial = populated.valid[0]
        handler = reading.handler
        assert handler.register_cert_in_db(issue(), None) is False
        assert handler.revoke_certificate(serial) == (False, RevokeStatus.UNKNOWN_ERROR)
        assert handler.delete_by_uuid("folder-again") is False
        assert handler.update_status_expired() == 0
        assert shown(handler) == before
        assert len(check_whole(url)) == 19

    def test_a_reader_is_told_why_a_change_is_refused(
        self, reader: str, open_again: Open, populated: Populated
    ) -> None:
        handler: Any = open_again(reader, raise_errors=True).handler
        with pytest.raises(ReadOnlyRegistry):
            handler.register_cert_in_db(make_certificate(), None)
        with pytest.raises(ReadOnlyRegistry):
            handler.revoke_certificate(populated.valid[0])

    @pytest.mark.parametrize("statement", PLAIN_SQL)
    def test_a_reader_changes_nothing_by_plain_sql_either(
        self, backend: Backend, url: str, reader: str, statement: str
    ) -> None:
        with backend.stranger(reader) as stranger, pytest.raises(sqlalchemy.exc.DBAPIError):
            stranger.exec_driver_sql(statement)
        assert len(check_whole(url)) == 19

    def test_a_reader_makes_no_registry(self, backend: Backend, flavour: Flavour) -> None:
        with backend.empty() as url, backend.reader(url) as reader:
            with pytest.raises((NotARegistry, LedgerError)):
                Ledger(reader).close()
            with Ledger(url) as ledger:
                assert ledger.head().size == 0
