"""What PostgreSQL's server, database and role have as defaults changes nothing of a registry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.x509 import Certificate
from sqlalchemy import Column, Connection, DateTime, Integer, Table, select, text
from sqlalchemy.orm import Session

from certledger import Ledger, SyncDBHandler
from certledger.errors import NotARegistry, ReadOnlyRegistry, StorageUnavailable
from certledger.eventstore.head import lock_head, read_head
from certledger.projections.models import Base
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.postgresql import database, role_in
from tests.support.servers import Place

ISOLATIONS = ("'serializable'", "'repeatable read'", "'read uncommitted'")
NOW = datetime(2031, 3, 30, 1, 59, 59, 999_999, tzinfo=UTC)
"""In the hour that a part of the world leaves out."""


def setting(connection: Connection | Session, name: str) -> object:
    return connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar()


@pytest.fixture(params=ISOLATIONS)
def strict(request: pytest.FixtureRequest, postgresql: Place) -> Iterator[str]:
    """The URL of a role whose transactions have another isolation by default."""
    with role_in(postgresql, default_transaction_isolation=request.param) as url:
        yield url


def test_a_change_is_read_committed_whatever_the_default_is(strict: str) -> None:
    with Ledger(strict) as ledger:
        found = ledger.database.write(lambda c, _: setting(c, "transaction_isolation"))
    assert found == "read committed"


def test_a_reader_has_one_snapshot_whatever_the_default_is(strict: str) -> None:
    with Ledger(strict) as ledger:

        def work(connection: Connection) -> list[int]:
            before = read_head(connection).size
            ledger.issue(make_certificate())
            return [before, read_head(connection).size]

        assert ledger.database.read(work) == [0, 0]
        assert ledger.head().size == 1


def test_writers_that_wait_for_each_other_lose_nothing(strict: str) -> None:
    """Under the role's default all but the first would fail, or build on what is past."""
    with Ledger(strict) as ledger:
        certificates = [make_certificate(serial=serial) for serial in range(1, 21)]
        others = [Ledger(strict) for _ in range(4)]
        threads = [
            threading.Thread(target=lambda o=other, at=at: [*map(o.issue, certificates[at::4])])
            for at, other in enumerate(others)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for other in others:
            other.close()
        assert [event.seq for event in ledger.events()] == list(range(20))
        assert [*ledger.verify()] == []


def test_the_head_is_locked_for_the_other_writers(postgresql: Place) -> None:
    with Ledger(postgresql.url) as ledger, Ledger(postgresql.url, retry_seconds=0.1) as other:

        def work(connection: Connection, _retrying: bool) -> None:
            lock_head(connection)
            with pytest.raises(StorageUnavailable, match="lock timeout"):
                other.issue(make_certificate())

        ledger.database.write(work)


def test_a_session_of_the_callers_is_read_committed_and_writes(strict: str) -> None:
    with SyncDBHandler(strict) as handler:
        with handler._db.session() as session:
            session.execute(text("CREATE TABLE mine (x integer)"))
            session.commit()
        with handler._db.session() as session:
            assert setting(session, "transaction_isolation") == "read committed"
            session.execute(text("INSERT INTO mine VALUES (1)"))
            assert handler.register_cert_in_db(make_certificate(), None)
            assert session.execute(text("SELECT count(*) FROM certificates")).scalar() == 1
            session.commit()
        with handler._db.session() as session:
            assert session.execute(text("SELECT x FROM mine")).all() == [(1,)]


@pytest.fixture
def stickers() -> Iterator[Table]:
    """A table that a caller declares."""
    table = Table(
        "stickers", Base.metadata, Column("id", Integer, primary_key=True), Column("made", DateTime)
    )
    yield table
    Base.metadata.remove(table)


@pytest.fixture
def writes_nothing(postgresql: Place) -> Iterator[str]:
    """The URL of a registry with a certificate, and a role that only reads by default."""
    with Ledger(postgresql.url) as ledger:
        ledger.issue(make_certificate(serial=1))
    with (
        role_in(postgresql, default_transaction_read_only="on") as url,
        postgresql.administrator() as sql,
    ):
        name = url.partition("//")[2].partition(":")[0]
        sql.exec_driver_sql(f"GRANT ALL ON ALL TABLES IN SCHEMA {postgresql.name} TO {name}")
        yield url


def test_a_role_that_only_reads_by_default_reads_and_checks(writes_nothing: str) -> None:
    with Ledger(writes_nothing) as ledger:
        assert ledger.get(1).serial_number == "1"
        assert [*ledger.verify()] == []
        assert [*ledger.drift()] == []


def test_a_role_that_only_reads_by_default_does_not_write(writes_nothing: str) -> None:
    with Ledger(writes_nothing) as ledger:
        with pytest.raises(ReadOnlyRegistry, match="default_transaction_read_only"):
            ledger.issue(make_certificate())
        assert ledger.head().size == 1


@pytest.mark.parametrize("zone", ["Pacific/Apia", "America/St_Johns", "Asia/Kathmandu", "UTC"])
@pytest.mark.parametrize("of", ["role", "database"])
def test_times_are_the_same_in_every_time_zone(
    postgresql: Place, postgresql_server: str, zone: str, of: str
) -> None:
    if of == "role":
        with role_in(postgresql, TimeZone=f"'{zone}'", DateStyle="'German'") as url:
            compare_with_sqlite(url)
    else:
        with database(postgresql_server, TimeZone=f"'{zone}'", DateStyle="'SQL, DMY'") as url:
            compare_with_sqlite(url)


def compare_with_sqlite(url: str) -> None:
    """Hold all that is given back of one history against what SQLite gives."""
    starts = [NOW.replace(microsecond=0) - timedelta(days=days) for days in range(1, 5)]
    certificates = [make_certificate(serial=at, start=start) for at, start in enumerate(starts, 1)]
    told = [told_of(one, certificates) for one in ("sqlite://", url)]
    assert told[1] == told[0]
    assert NOW in told[1]["times"]


def told_of(url: str, certificates: list[Certificate]) -> dict[str, Any]:
    clock, ids = FakeClock(NOW), (f"00000000-0000-4000-8000-{at:012}" for at in range(100))
    with Ledger(url, origin="ca.example.org", clock=clock, new_id=lambda: next(ids)) as ledger:
        for certificate in certificates:
            ledger.issue(certificate, uuid=f"folder-{certificate.serial_number}")
            clock.step(microseconds=1)
        ledger.revoke(1, "keyCompromise")
        ledger.revoke(2, "superseded", revocation_date=NOW - timedelta(minutes=59))
        ledger.delete(2)
        clock.step(days=87)
        ledger.expire_due()
        return {
            "events": [*ledger.events()],
            "times": [event.recordedtime for event in ledger.events()],
            "head": ledger.head(),
            "rows": [{**vars(row), "_sa_instance_state": None} for row in ledger.each()],
            "revoked": ledger.revoked(window=None),
            "expiring": [row.id for row in ledger.expiring(2)],
            "verify": [*ledger.verify()],
            "drift": [*ledger.drift()],
        }


def test_what_a_caller_stores_is_not_shifted(postgresql: Place, stickers: Table) -> None:
    naive = NOW.replace(tzinfo=None)
    with role_in(postgresql, TimeZone="'Pacific/Apia'") as url, SyncDBHandler(url) as handler:
        with handler._db.session() as session:
            session.execute(stickers.insert().values(id=1, made=naive))
            session.commit()
        with handler._db.session() as session:
            assert session.execute(select(stickers.c.made)).scalars().all() == [naive]
            stored = session.execute(text("SELECT made::text FROM stickers")).scalar()
            assert stored == "2031-03-30 01:59:59.999999"


def test_a_commit_waits_for_the_disk_whatever_the_default_is(postgresql: Place) -> None:
    with role_in(postgresql, synchronous_commit="off") as url, Ledger(url) as ledger:
        assert ledger.database.read(lambda c: setting(c, "synchronous_commit")) == "on"
        assert [*ledger.verify()] == []


def test_a_stronger_commit_stays(postgresql: Place) -> None:
    with role_in(postgresql, synchronous_commit="remote_apply") as url, Ledger(url) as ledger:
        assert ledger.database.read(lambda c: setting(c, "synchronous_commit")) == "remote_apply"


def test_only_unicode_databases_take_a_registry(postgresql_server: str) -> None:
    latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    with (
        database(postgresql_server, latin) as url,
        pytest.raises(NotARegistry, match=r"encoding of the database is LATIN1.*ENCODING 'UTF8'"),
    ):
        Ledger(url)


def test_a_date_before_the_year_1970_is_kept(postgresql: Place) -> None:
    old = make_certificate(
        serial=5,
        start=datetime(1950, 1, 1, tzinfo=UTC),
        end=datetime(1950, 1, 1, tzinfo=UTC) + timedelta(seconds=1),
    )
    with Ledger(postgresql.url) as ledger:
        ledger.issue(old)
        assert ledger.get(5).not_valid_before == datetime(1950, 1, 1)  # noqa: DTZ001 # as stored
