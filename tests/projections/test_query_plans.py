"""Each query of the read model uses the index that was made for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from certledger import Ledger
from certledger.projections import queries
from certledger.testing.certificates import make_certificate

NOW = datetime.now(UTC).replace(tzinfo=None)
PAST = NOW - timedelta(days=1)


def plan_of(ledger: Ledger, query: Callable[[Connection], object]) -> str:
    """What SQLite says of how it goes about the one statement that a query sends."""

    def work(connection: Connection) -> str:
        driver: Any = connection.connection.dbapi_connection
        sent: list[str] = []
        driver.set_trace_callback(sent.append)
        query(connection)
        driver.set_trace_callback(None)
        (statement,) = sent
        steps = driver.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        return "\n".join(step[3] for step in steps)

    return ledger.database.read(work)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (lambda c: queries.get_by_serial(c, 1), "serial_number"),
        (lambda c: queries.get_by_name(c, "device.example.org", NOW), "common_name_status"),
        (lambda c: queries.list_certificates(c, {"status": "valid"}, 100, 0), "status_id"),
        (lambda c: queries.list_certificates(c, {"key_type": "ca"}, 100, 0), "key_type_id"),
        (lambda c: queries.expiring(c, NOW, NOW), "status_not_valid_after"),
        (
            lambda c: queries.due(c, NOW, queries.Due(str(PAST), 0, "1"), 10),
            "status_not_valid_after",
        ),
        (lambda c: queries.revoked(c, NOW, PAST), "revocation_date"),
        (queries.counts, "status_"),  # of two that hold all it needs, SQLite takes either
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_query_searches_its_index(
    ledger: Ledger, query: Callable[[Connection], object], index: str
) -> None:
    ledger.issue(make_certificate())

    assert f"ix_certificates_{index}" in plan_of(ledger, query)


def test_the_newest_are_listed_in_the_order_of_the_table(ledger: Ledger) -> None:
    ledger.issue(make_certificate())

    plan = plan_of(ledger, lambda c: queries.list_certificates(c, {}, 100, 0))

    assert plan == "SCAN certificates"
