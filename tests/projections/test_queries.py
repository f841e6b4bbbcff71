"""The queries use their indexes at 1,000 rows, with and without SQLite's statistics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from certledger.eventstore.database import Database
from certledger.projections import queries, rows
from certledger.projections.queries import Due
from tests.support.given import START
from tests.support.log import make_log
from tests.support.plans import plan_of, scans

NOW = START.replace(tzinfo=None)
DAY = timedelta(days=1)
COUNT = 1_000

VALUES: dict[str, Any] = {
    "serial_number": "5",
    "common_name": "host-5",
    "now": NOW,
    "until": NOW + DAY,
    "since": NOW - DAY,
    "after_end": "2026",
    "same_end": "2026",
    "after_id": 5,
    "below": 500,
    "limit": 10,
    "offset": 0,
    "status": "valid",
}


def row(number: int) -> dict[str, object]:
    """Nine of ten are valid; every tenth is revoked or expired; one in a hundred is a CA's."""
    status = "valid" if number % 10 else ("revoked", "expired")[number // 10 % 2]
    revoked = status == "revoked"
    return {
        "id": number + 1,
        "serial_number": str(number),
        "common_name": f"host-{number % 500}",
        "status": status,
        "not_valid_before": NOW - (number % 90) * DAY,
        "not_valid_after": NOW + (number % 90 - 30) * DAY,
        "key_type": "device" if number % 100 else "ca",
        "certificate_pem": "-" * 900,
        "revocation_date": NOW - (number % 400) * DAY if revoked else None,
        "revocation_reason": 4 if revoked else None,
        "uuid": f"folder-{number}" if number % 2 else None,
    }


@pytest.fixture(scope="module", params=["without statistics", "with statistics"])
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    file: Path = tmp_path_factory.mktemp("queries") / "registry.db"
    database = make_log(f"sqlite:///{file}", lambda: START)
    table = [row(number) for number in range(COUNT)]
    database.write(lambda connection, _: rows.INSERT.run_many(connection, table))
    if request.param == "with statistics":
        database.write(lambda connection, _: connection.exec_driver_sql("ANALYZE"))
    yield database
    database.close()


def explain(database: Database, statement: Any, **values: Any) -> list[str]:
    return database.read(lambda c: plan_of(c, statement, **VALUES | values))


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("_BY_SERIAL", "INDEX ix_certificates_serial_number (serial_number=?)"),
        ("_BY_NAME", "INDEX ix_certificates_common_name_status (common_name=? AND status=?)"),
        (
            "_EXPIRING",
            "ix_certificates_status_not_valid_after (status=? AND not_valid_after>? AND not_v",
        ),
        ("_DUE_FIRST", "ix_certificates_status_not_valid_after (status=? AND not_valid_after<?)"),
        ("_DUE_NEXT", "ix_certificates_status_not_valid_after (status=? AND not_valid_after<?)"),
    ],
)
def test_a_query_finds_its_rows_by_an_index(filled: Database, name: str, index: str) -> None:
    lines = explain(filled, getattr(queries, name))
    assert lines[0].startswith("SEARCH certificates USING ")
    assert index in lines[0]
    if name != "_BY_NAME":  # few rows have one name, and their order is no column's
        assert scans(lines) == []


def test_revocations_are_found_by_date_in_both_tables(filled: Database) -> None:
    lines = explain(filled, queries._REVOKED)
    assert any("certificates USING INDEX ix_certificates_revocation_date" in line for line in lines)
    assert any("retired USING INDEX ix_retired_revocation_date" in line for line in lines)
    assert not [line for line in scans(lines) if line.startswith("SCAN")]


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"status": "revoked"}, "ix_certificates_status_id (status=?"),
        ({"key_type": "ca"}, "ix_certificates_key_type_id (key_type=?"),
        ({"status": "valid", "key_type": "device"}, "ix_certificates_"),
        ({"status": "revoked", "key_type": "ca"}, "ix_certificates_"),
    ],
)
def test_a_filtered_listing_follows_an_index_without_sorting(
    filled: Database, filters: dict[str, str], index: str
) -> None:
    key = frozenset(filters)
    rare = queries._is_rare(filters)
    for statement in (queries._list_statement(key, rare), queries._page_statement(key, rare)):
        lines = explain(filled, statement, **filters)
        assert index in lines[0]
        assert lines[0].startswith("SEARCH")
        assert scans(lines) == []
    (line,) = explain(filled, queries._count_statement(key, rare), **filters)
    assert line.startswith("SEARCH certificates USING ")
    assert "INDEX ix_certificates_" in line


@pytest.mark.parametrize("filters", [{}, {"key_type": "device"}])
def test_a_listing_of_most_rows_reads_them_from_the_newest_without_sorting(
    filled: Database, filters: dict[str, str]
) -> None:
    """The default type has no index: its newest rows are at the end of the table."""
    for statement in (queries._list_statement, queries._page_statement):
        lines = explain(filled, statement(frozenset(filters), False), **filters)
        assert len(lines) == 1
        assert "TEMP B-TREE" not in lines[0]


def test_counts_read_an_index_alone(filled: Database) -> None:
    (line,) = explain(filled, queries._COUNTS)
    assert "COVERING INDEX" in line


def test_the_queries_give_what_the_rows_say(filled: Database) -> None:
    table = [row(number) for number in range(COUNT)]

    def ids(records: Any) -> list[int]:
        return [record.id for record in records]

    def chosen(*conditions: Any) -> list[int]:
        return [int(str(r["id"])) for r in table if all(test(r) for test in conditions)]

    def valid(r: Any) -> bool:
        return bool(r["status"] == "valid")

    found = filled.read(lambda c: queries.expiring(c, NOW, NOW + 9 * DAY))
    assert sorted(ids(found)) == chosen(
        valid, lambda r: NOW < r["not_valid_after"] <= NOW + 9 * DAY
    )
    assert found == sorted(found, key=lambda r: (r.not_valid_after, r.id))
    listed = filled.read(lambda c: queries.list_certificates(c, {"key_type": "ca"}, 99, 0))
    assert ids(listed) == chosen(lambda r: r["key_type"] == "ca")[::-1]
    revoked = filled.read(lambda c: queries.revoked(c, NOW, datetime.min))  # noqa: DTZ901 # naive
    assert sorted(int(r.serial_number) + 1 for r in revoked) == chosen(
        lambda r: r["revocation_date"] is not None, lambda r: r["not_valid_after"] > NOW
    )
    assert filled.read(queries.counts) == {"valid": 900, "revoked": 50, "expired": 50}


@pytest.mark.parametrize("limit", [1, 7, 50, COUNT])
def test_the_due_ones_are_given_page_by_page_each_once(filled: Database, limit: int) -> None:
    pages: list[Due] = []

    def next_page(connection: Connection) -> list[Due]:
        return queries.due(connection, NOW, pages[-1] if pages else None, limit)

    while page := filled.read(next_page):
        pages += page
    ends = {number + 1: row(number) for number in range(COUNT)}
    expected = [
        key
        for key, r in ends.items()
        if r["status"] == "valid" and str(r["not_valid_after"]) < str(NOW)
    ]
    assert sorted(due.id for due in pages) == expected
    assert [due.end for due in pages] == sorted(due.end for due in pages)
