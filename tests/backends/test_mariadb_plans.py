"""Queries on MariaDB touch few more rows than they give: the indexes are the right ones there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from sqlalchemy import Connection

from certledger import Ledger
from certledger.bulk import Registration
from certledger.eventstore import known, reader
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.reader import LogQuery
from certledger.projections import queries
from certledger.projections.scratch import scratch_tables
from certledger.projections.verifying import places
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from certledger.testing.places import empty_place
from tests.support.mariadb import execute, run, stranger
from tests.support.pymysql_commands import commands

if TYPE_CHECKING:
    Stranger = pymysql.Connection[Any]

CERTIFICATES = 3_000
RARE = 100
"""Of so many one is of a rare kind."""
CLOCK = FakeClock()
NOW = CLOCK().replace(tzinfo=None)
ISSUED = "certledger.certificate.issued.v1"
REVOKED = "certledger.certificate.revoked.v1"


@pytest.fixture(scope="module")
def url(mariadb_server: str) -> Iterator[str]:
    """A registry of 3,000 certificates, of which some are revoked, deleted, or of a user."""
    with empty_place("mariadb", mariadb_server) as place:
        with Ledger(place.url, clock=CLOCK) as ledger:
            assert all(outcome.event for outcome in ledger.issue_many(certificates()))
            for serial in range(1, CERTIFICATES, RARE):
                ledger.revoke(serial)
                ledger.delete(serial + 1)
        with place.administrator() as administrator:
            tables = "certificates, retired, log_entry, log_head"
            administrator.exec_driver_sql(f"USE {place.name}")
            administrator.exec_driver_sql(f"ANALYZE TABLE {tables}").all()
        yield place.url


def certificates() -> Iterator[Registration]:
    """All that end at different instants, but for a third that end with one."""
    begun = CLOCK() - timedelta(days=400)
    for serial in range(1, CERTIFICATES + 1):
        end = CLOCK() + timedelta(days=30, seconds=serial if serial % 3 else 0)
        certificate = make_certificate(f"d{serial}.example", serial=serial, start=begun, end=end)
        kind = CertType.USER if serial % RARE == 0 else CertType.DEVICE
        yield Registration(certificate, key_type=kind, uuid=f"u{serial}")


def touched(url: str, query: Callable[[Connection], object]) -> int:
    """How many times the server goes to a row or an index for the one query of some work."""
    with Ledger(url) as ledger:
        sent = commands(url, lambda: ledger.database.read(query))
    (statement,) = (sql for sql in sent if sql.lstrip("( \n").startswith("SELECT"))
    with stranger(url, "SET time_zone = '+00:00'", "FLUSH STATUS") as connection:
        run(connection, statement)
        counts = run(connection, "SHOW SESSION STATUS LIKE 'Handler_%'")
    reads = ("Handler_read_", "Handler_icp_attempts")
    return sum(int(row["Value"]) for row in counts if str(row["Variable_name"]).startswith(reads))


SOON = NOW + timedelta(days=30, seconds=5)
READ_MODEL: dict[str, Callable[[Connection], object]] = {
    "by serial": lambda c: queries.get_by_serial(c, 100),
    "by name": lambda c: queries.get_by_name(c, "d7.example", NOW),
    "newest": lambda c: queries.list_certificates(c, {}, 20, 0),
    "newest valid": lambda c: queries.list_certificates(c, {"status": "valid"}, 20, 0),
    "newest revoked": lambda c: queries.list_certificates(c, {"status": "revoked"}, 20, 0),
    "newest expired": lambda c: queries.list_certificates(c, {"status": "expired"}, 20, 0),
    "newest device": lambda c: queries.list_certificates(c, {"key_type": "device"}, 20, 0),
    "newest user": lambda c: queries.list_certificates(c, {"key_type": "user"}, 20, 0),
    "valid user": lambda c: queries.list_certificates(
        c, {"key_type": "user", "status": "valid"}, 20, 0
    ),
    "older": lambda c: queries.page_below(c, {"status": "valid"}, 1_500, 20),
    "older revoked": lambda c: queries.page_below(c, {"status": "revoked"}, 1_500, 20),
    "number of users": lambda c: queries.count_certificates(c, {"key_type": "user"}),
    "due": lambda c: queries.due(c, NOW, None, 20),
    "due next": lambda c: queries.due(c, SOON, queries.Due(NOW, 5, "5"), 20),
    "revoked": lambda c: queries.revoked(c, NOW, NOW - timedelta(days=1)),
    "deletions": queries.count_retired,
}
LOG: dict[str, Callable[[Connection], object]] = {
    "stream": lambda c: reader.read_stream(c, "certificate/101"),
    "version": lambda c: reader.stream_version(c, "certificate/101"),
    "uuid": lambda c: reader.subjects_with_uuid(c, "u5"),
    "event id": lambda c: reader.find_entry(c, "no such id"),
    "page": lambda c: reader.read_page(c, LogQuery(100), None, 20),
    "rare type": lambda c: reader.read_page(c, LogQuery(type=REVOKED), None, 20),
    "rare type, newest": lambda c: reader.read_page(c, LogQuery(type=REVOKED, reverse=True), 9, 20),
    "common type": lambda c: reader.read_page(c, LogQuery(type=ISSUED), None, 20),
    "nobody's": lambda c: reader.read_page(c, LogQuery(actor="nobody"), None, 20),
    "streams": lambda c: known.read_known(
        c, [f"certificate/{n}" for n in range(1, 10)], [f"u{n}" for n in range(1, 10)]
    ),
}


@pytest.mark.parametrize("name", [*READ_MODEL, *LOG])
def test_a_query_touches_little_more_than_it_gives(url: str, name: str) -> None:
    assert touched(url, (READ_MODEL | LOG)[name]) <= 6 * CERTIFICATES / RARE


def test_what_expires_soon_is_found_by_its_end(url: str) -> None:
    """A third ends at one instant: what ends after it is few."""
    late = NOW + timedelta(days=30, seconds=CERTIFICATES - 20)

    def query(connection: Connection) -> object:
        return queries.expiring(connection, late, late + timedelta(days=9))

    assert touched(url, query) <= 100


@pytest.mark.parametrize(
    "change",
    [lambda ledger: ledger.revoke(12), lambda ledger: ledger.delete(uuid="u15")],
    ids=["revoke", "delete"],
)
def test_a_change_finds_its_row_by_its_key(url: str, change: Callable[[Ledger], object]) -> None:
    """Also where a thousand others end at the same instant."""
    with Ledger(url, clock=CLOCK) as ledger:
        sent = commands(url, lambda: change(ledger))
    changes = [sql for sql in sent if sql.startswith(("UPDATE certificates", "DELETE FROM"))]
    assert changes
    with stranger(url) as connection:
        for sql in changes:
            for step in run(connection, "EXPLAIN " + sql):
                assert step["type"] in {"range", "const"}, step
                assert int(step["rows"]) == 1, step


@pytest.mark.parametrize("twice", [True, False], ids=["in the database", "here"])
def test_streams_are_gone_through_in_pages_without_going_back(
    url: str, monkeypatch: pytest.MonkeyPatch, twice: bool
) -> None:
    """Each entry of the index is touched a few times in all, not once for each page."""
    streams, versions = 1_500, 2
    with Ledger(url) as ledger, scratch_tables(ledger.database) as scratch:
        backend = type(ledger.database.backend)
        monkeypatch.setattr(backend, "opens_temporary_tables_twice", lambda *_: twice)
        connection = scratch.connection
        with scratch.transaction():
            places.stream_index.create(connection)
            rows = [
                (f"certificate/{n}", version, n * versions + version, 1)
                for n in range(streams)
                for version in range(versions)
            ]
            places.add_places(connection, rows)
            before = _reads(connection)
            found, after = [], None
            while page := places.read_places(connection, after):
                found += [place for place, _ in page]
                after = page[-1][0]
            assert [tuple(place) for place in found] == sorted(rows)
            assert _reads(connection) - before < 8 * len(rows)


def _reads(connection: Connection) -> int:
    found = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
    return sum(int(count) for _, count in found)


def test_no_statement_needs_a_temporary_table_twice(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL can't reopen one: what is sent there names each at most once."""

    def work() -> None:
        with Ledger(url, clock=CLOCK) as ledger:
            backend = type(ledger.database.backend)
            monkeypatch.setattr(backend, "opens_temporary_tables_twice", lambda *_: False)
            execute(
                url,
                "UPDATE certificates SET status = 'revoked' WHERE id = 21",
                "DELETE FROM certificates WHERE id IN (31, 32)",
                "UPDATE certificates SET uuid = 'other' WHERE id = 41",
            )
            assert len(list(ledger.drift())) == 4
            assert ledger.rebuild().differences == 4
            assert list(ledger.verify()) == []

    sent = commands(url, work)
    assert any("scratch_streams" in sql for sql in sent)
    for table in ("scratch_certificates", "scratch_retired", "scratch_streams"):
        for sql in sent:
            named = sql.count(f"FROM {table}") + sql.count(f"JOIN {table}")
            assert named <= 1, sql
