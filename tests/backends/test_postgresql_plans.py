"""The queries of a registry with thousands of rows use its indexes on PostgreSQL too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from certledger import Ledger
from certledger.bulk import Registration
from certledger.eventstore import checkpoints, reader
from certledger.eventstore.known import read_known
from certledger.eventstore.tree import root_at
from certledger.projections import queries, rows
from certledger.projections.differences import PAIRS
from certledger.projections.models import CERTIFICATES
from certledger.projections.projector import _CHANGE
from certledger.projections.scratch import scratch_tables
from certledger.projections.verifying.places import Place as StreamPlace
from certledger.projections.verifying.places import read_places, stream_index
from certledger.testing.certificates import make_certificate
from tests.support.postgresql_plans import Node, indexes, plans_of, scans, sorts
from tests.support.servers import empty_place

COUNT = 3_000
NOW = datetime.now(UTC).replace(tzinfo=None)
SOON = NOW + timedelta(hours=1)
PAST = NOW - timedelta(days=1)

Query = Callable[[Connection], object]


@pytest.fixture(scope="module")
def ledger(postgresql_server: str) -> Iterator[Ledger]:
    """Some thousand valid certificates of devices, a few of everything else, and statistics."""
    with (
        empty_place("postgresql", postgresql_server) as place,
        Ledger(place.url) as opened,
    ):
        registrations = [
            Registration(
                make_certificate(f"host-{at}.example.org", serial=at + 1),
                key_type="ca" if at % 500 == 0 else "device",
                uuid=f"folder-{at}",
            )
            for at in range(COUNT)
        ]
        assert all(outcome.event for outcome in opened.issue_many(registrations))
        for serial in range(1, COUNT, 100):
            opened.revoke(serial)
        for serial in range(1, COUNT, 200):
            opened.delete(serial)
        with place.administrator() as sql:
            for table in ("log_entry", "log_head", "certificates", "retired"):
                sql.exec_driver_sql(f"VACUUM ANALYZE {place.name}.{table}")
        yield opened


def plans(ledger: Ledger, query: Query) -> list[Node]:
    return ledger.database.read(lambda connection: plans_of(connection, query))


ENDS = "ix_certificates_(status_)?not_valid_after"
"""Both serve: hardly any row past its end, or near it, is not valid."""

LOOK_UPS: dict[str, tuple[Query, str]] = {
    "serial": (lambda c: queries.get_by_serial(c, 7), "ix_certificates_serial_number"),
    "name": (
        lambda c: queries.get_by_name(c, "host-7.example.org", NOW),
        "ix_certificates_common_name_status",
    ),
    "newest": (lambda c: queries.list_certificates(c, {}, 10, 0), "certificates_pkey"),
    "newest of a rare status": (
        lambda c: queries.list_certificates(c, {"status": "revoked"}, 10, 0),
        "ix_certificates_status_id",
    ),
    "newest of a rare type": (
        lambda c: queries.list_certificates(c, {"key_type": "ca"}, 10, 0),
        "ix_certificates_key_type_id",
    ),
    "next page": (lambda c: queries.page_below(c, {}, 2_000, 10), "certificates_pkey"),
    "expiring": (
        lambda c: queries.expiring(c, NOW, SOON),
        ENDS,
    ),
    "due": (lambda c: queries.due(c, PAST, None, 10), ENDS),
    "due, next page": (
        lambda c: queries.due(c, PAST, queries.Due(PAST, 7, "7"), 10),
        ENDS,
    ),
    "revoked": (lambda c: queries.revoked(c, NOW, PAST), "ix_certificates_revocation_date"),
    "holders": (
        lambda c: rows.HOLDERS.rows(c, id=7, serial_number="7", uuid="folder-7"),
        "ix_certificates_uuid",
    ),
    "stream": (lambda c: reader.read_stream(c, "certificate/7"), "uq_log_entry_subject"),
    "stream's version": (
        lambda c: reader.stream_version(c, "certificate/7"),
        "uq_log_entry_subject",
    ),
    "event id": (lambda c: reader.find_entry(c, "7"), "uq_log_entry_event_id"),
    "uuid": (lambda c: reader.subjects_with_uuid(c, "folder-7"), "ix_log_entry_uuid"),
    "stream and uuid": (
        lambda c: read_known(c, ["certificate/7"], ["folder-7"]),
        "ix_log_entry_uuid",
    ),
    "many streams and uuids": (
        lambda c: read_known(c, ["certificate/7", "certificate/8"], ["folder-7", "folder-8"]),
        "uq_log_entry_subject",
    ),
    "positions": (lambda c: reader.read_entries(c, 10, 20), "log_entry_pkey"),
    "newest entries": (
        lambda c: reader.read_page(c, reader.LogQuery(reverse=True), None, 10),
        "log_entry_pkey",
    ),
    "entries of a rare type": (
        lambda c: reader.read_page(
            c, reader.LogQuery(type="certledger.certificate.deleted.v1"), None, 10
        ),
        "ix_log_entry_type",
    ),
    "entries of another actor": (
        lambda c: reader.read_page(c, reader.LogQuery(actor="nobody"), None, 10),
        "ix_log_entry_actor",
    ),
    "time": (lambda c: reader.position_at(c, datetime.now(UTC), COUNT), "log_entry_pkey"),
    "root": (lambda c: root_at(c, COUNT - 1), "log_entry_pkey"),
    "end of the log": (
        lambda c: c.exec_driver_sql("SELECT coalesce(max(seq) + 1, 0) FROM log_entry"),
        "log_entry_pkey",
    ),
    "version in a trigger": (
        lambda c: c.exec_driver_sql(
            "SELECT coalesce(max(streamversion) + 1, 0) FROM log_entry "
            "WHERE subject::text = 'certificate/7'::varchar::text"
        ),
        "uq_log_entry_subject",
    ),
}


@pytest.mark.parametrize("name", list(LOOK_UPS))
def test_a_look_up_uses_its_index(ledger: Ledger, name: str) -> None:
    query, index = LOOK_UPS[name]
    found = plans(ledger, query)
    assert found
    for plan in found:
        assert set(scans(plan)) <= {"Seq Scan on retired"}  # of one page
        assert any(re.fullmatch(index, used) for used in indexes(plan)), plan


@pytest.mark.parametrize("name", [name for name in LOOK_UPS if "newest" in name])
def test_a_page_needs_no_sorting(ledger: Ledger, name: str) -> None:
    for plan in plans(ledger, LOOK_UPS[name][0]):
        assert sorts(plan) == []


def test_the_newest_checkpoint_is_found_by_an_index(ledger: Ledger) -> None:
    """Of many: a server reads a table of one page faster than its index."""

    def work(connection: Connection) -> list[Node]:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        return plans_of(connection, lambda c: checkpoints.newest_of_key(c, "key"))

    for plan in ledger.database.read(work):
        assert scans(plan) == []


def test_changing_a_row_finds_it_by_its_id(ledger: Ledger) -> None:
    """With the other columns held against what the log left."""
    certificate = ledger.get(7)
    old: dict[str, Any] = {
        f"old_{column.name}": getattr(certificate, column.name)
        for column in CERTIFICATES.c
        if not column.primary_key
    }

    def work(connection: Connection) -> object:
        return _CHANGE.run(
            connection,
            at_id=certificate.id,
            new_status="valid",
            new_date=None,
            new_reason=None,
            **old,
        )

    with ledger.database.connect_alone() as connection, ledger.database.transaction(connection):
        for plan in plans_of(connection, work):
            assert indexes(plan) == {"certificates_pkey"}


@pytest.mark.parametrize("pair", PAIRS, ids=[pair.table.name for pair in PAIRS])
def test_comparing_a_range_reads_that_range(ledger: Ledger, pair: Any) -> None:
    with scratch_tables(ledger.database) as scratch:
        scratch.fill(lambda *_: None)
        with scratch.transaction():
            found = plans_of(
                scratch.connection, lambda c: pair.differences(c, COUNT // 2, COUNT // 2 + 50)
            )
    for plan in found:
        assert scans(plan) in ([], ["Seq Scan on scratch_retired"], ["Seq Scan on retired"])


def test_the_next_page_in_stream_order_is_found_by_its_key(ledger: Ledger) -> None:
    with scratch_tables(ledger.database) as scratch:
        with scratch.transaction():
            stream_index.create(scratch.connection)
            scratch.connection.execute(
                text(
                    "INSERT INTO scratch_streams SELECT subject, streamversion, seq, "
                    "CASE WHEN streamversion = 0 THEN 2 ELSE 1 END FROM log_entry"
                )
            )
        with scratch.transaction():
            after = StreamPlace("certificate/150", 0, 149, 1)
            found = plans_of(scratch.connection, lambda c: read_places(c, after))
    assert scans(found[0]) == []
    assert "scratch_streams_pkey" in indexes(found[0])
