"""On a server that is far away statements are sent together; all comes out the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from certledger import Ledger
from certledger.bulk import Registration
from certledger.errors import (
    ConstraintFailed,
    DuplicateSerial,
    DuplicateUuid,
    LogCorrupt,
    StorageUnavailable,
)
from certledger.eventstore.append import Tail
from certledger.eventstore.backends import backend_of, postgresql_sessions
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import log_head
from certledger.eventstore.times import utc_now
from certledger.testing.certificates import make_ca, make_certificate
from certledger.testing.proxy import Proxy
from tests.support.log import registration
from tests.support.servers import Place

IS_FAR = postgresql_sessions.is_far
_TOUCH = Statement(log_head.update().values(size=log_head.c.size + 1))


@pytest.fixture(autouse=True)
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of tests are near."""
    if not psycopg.Pipeline.is_supported():
        pytest.skip("needs libpq 14")
    monkeypatch.setattr(postgresql_sessions, "is_far", lambda _: True)


@pytest.fixture
def ledger(postgresql: Place) -> Iterator[Ledger]:
    with Ledger(postgresql.url, retry_seconds=5) as opened:
        yield opened


def run(place: Place, *statements: str) -> None:
    with place.administrator() as sql:
        sql.exec_driver_sql(f"SET search_path = {place.name}")
        for statement in statements:
            sql.exec_driver_sql(statement)


def is_whole(ledger: Ledger) -> bool:
    return [*ledger.verify()] == [] and [*ledger.drift()] == []


def test_statements_are_sent_together_where_the_server_is_far(ledger: Ledger) -> None:
    def work(connection: Connection, _retrying: bool) -> list[str]:
        driver: Any = connection.connection.dbapi_connection
        modes = [driver.pgconn.pipeline_status]
        with backend_of(connection).together(connection):
            modes.append(driver.pgconn.pipeline_status)
        return [psycopg.pq.PipelineStatus(mode).name for mode in modes]

    assert ledger.database.write(work) == ["OFF", "ON"]


@pytest.mark.parametrize(
    ("address", "far"), [("", False), ("127.0.0.1", False), ("::1", False), ("192.0.2.1", True)]
)
def test_a_server_is_far_that_is_on_another_machine(address: str, far: bool) -> None:
    """One without an address is reached by a socket in the file system."""
    assert IS_FAR(SimpleNamespace(info=SimpleNamespace(hostaddr=address))) is far


def test_every_command_works(ledger: Ledger) -> None:
    certificate = make_certificate(serial=1)
    first = ledger.issue(certificate, uuid="folder-1", command_id="one")
    assert ledger.issue(certificate, uuid="folder-1", command_id="one") == first
    ledger.issue(make_certificate(serial=2), uuid="folder-2")
    ledger.revoke(1, "keyCompromise")
    ledger.delete(uuid="folder-2")
    ledger.delete(1)
    ledger.issue(make_certificate(serial=2), uuid="folder-2")
    ended = datetime.now(UTC) - timedelta(seconds=1)
    many = [Registration(make_certificate(serial=at, end=ended)) for at in range(10, 1_300)]
    assert all(outcome.event for outcome in ledger.issue_many(many))
    assert ledger.expire_due() == len(many)
    ledger.crl(make_ca().certificate, make_ca().key)
    assert ledger.rebuild().differences == 0
    assert {one.level for one in ledger.verify()} == {"note"}  # of the serial number used again


def test_what_is_refused_changes_nothing(ledger: Ledger) -> None:
    ledger.issue(make_certificate(serial=1), uuid="folder-1")
    with pytest.raises(DuplicateSerial):
        ledger.issue(make_certificate(serial=1))
    with pytest.raises(DuplicateUuid):
        ledger.issue(make_certificate(serial=2), uuid="folder-1")
    assert ledger.issue(make_certificate(serial=2), uuid="folder-2").seq == 1
    assert is_whole(ledger)


def test_rows_in_the_way_are_mended(ledger: Ledger, postgresql: Place) -> None:
    ledger.issue(make_certificate(serial=1), uuid="folder-1")
    ledger.issue(make_certificate(serial=2), uuid="folder-2")
    run(
        postgresql,
        "UPDATE certificates SET status = 'expired' WHERE id = 1",
        "INSERT INTO certificates SELECT 3, '3', common_name, status, not_valid_before, "
        "not_valid_after, key_type, certificate_pem FROM certificates WHERE id = 1",
        "INSERT INTO retired SELECT 4, '2', 'valid', NULL, NULL, now()",
    )
    ledger.issue(make_certificate(serial=3))
    ledger.revoke(1)
    ledger.delete(2)
    assert is_whole(ledger)


def test_the_first_error_is_the_one_that_is_told(ledger: Ledger, postgresql: Place) -> None:
    run(postgresql, "ALTER TABLE certificates ADD CONSTRAINT no CHECK (serial_number <> '13')")
    with pytest.raises(ConstraintFailed, match='violates check constraint "no"'):
        ledger.issue(make_certificate(serial=13))

    def work(connection: Connection, _retrying: bool) -> None:
        with backend_of(connection).together(connection):
            _TOUCH.ask(connection)
            _TOUCH.ask(connection)

    with pytest.raises(LogCorrupt, match="log_head only grows"):
        ledger.database.write(work)
    assert ledger.issue(make_certificate(serial=14)).seq == 0
    assert is_whole(ledger)


def test_a_lock_that_is_kept_is_told_of(ledger: Ledger, postgresql: Place) -> None:
    with Ledger(postgresql.url, retry_seconds=0.2) as other:

        def work(connection: Connection, _retrying: bool) -> None:
            connection.exec_driver_sql("SELECT * FROM log_head FOR UPDATE")
            with pytest.raises(StorageUnavailable, match="lock timeout"):
                other.issue(make_certificate())

        ledger.database.write(work)
        assert other.issue(make_certificate()).seq == 0


@pytest.mark.parametrize("committed", [True, False])
def test_a_lost_answer_costs_nothing(postgresql: Place, committed: bool) -> None:
    with Proxy(postgresql.url) as proxy, Ledger(proxy.url) as ledger:
        ledger.issue(make_certificate(serial=1))
        proxy.lose_next_commit(committed=committed)
        assert ledger.issue(make_certificate(serial=2)).seq == 1
        assert proxy.lost == 1
        proxy.cut()
        assert ledger.revoke(1).seq == 2
        assert is_whole(ledger)


def test_what_a_stream_is_decided_on_is_read_behind_the_lock(
    ledger: Ledger, postgresql: Place
) -> None:
    """What another writer commits while the lock is waited for is seen."""
    ledger.issue(make_certificate(serial=1))
    with Ledger(postgresql.url) as other, ThreadPoolExecutor(1) as pool:

        def work(connection: Connection, _retrying: bool) -> Any:
            connection.exec_driver_sql("SELECT * FROM log_head FOR UPDATE")
            job = pool.submit(lambda: other.issue(make_certificate(serial=2), uuid="one"))
            with postgresql.administrator() as sql:
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                while not sql.exec_driver_sql(waiting).scalar_one():
                    pass
            tail = Tail(connection, utc_now)
            tail.append([registration(2)], expected_version=0)
            tail.flush()
            return job

        job = ledger.database.write(work)
        with pytest.raises(DuplicateSerial):
            job.result()
