"""Times that PostgreSQL can hold and Python cannot: drift, verify and errors tell of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from certledger import Ledger
from certledger.errors import LogCorrupt, UnreadableValue
from certledger.testing.certificates import make_certificate
from tests.support.servers import Place

ODD = ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "12345-06-07 08:09:10.000011"]


@pytest.fixture
def ledger(postgresql: Place) -> Iterator[Ledger]:
    with Ledger(postgresql.url) as opened:
        for serial in (1, 2, 3):
            opened.issue(make_certificate(serial=serial))
        yield opened


def run(place: Place, *statements: str) -> None:
    with place.administrator() as sql:
        sql.exec_driver_sql(f"SET search_path = {place.name}")
        for statement in statements:
            sql.exec_driver_sql(statement)


@pytest.mark.parametrize("value", ODD)
def test_a_row_with_a_time_that_is_none_is_found_and_mended(
    postgresql: Place, ledger: Ledger, value: str
) -> None:
    run(postgresql, f"UPDATE certificates SET not_valid_after = '{value}' WHERE id = 2")
    (difference,) = ledger.drift()
    assert difference.columns["not_valid_after"][0] == value
    assert [one.kind for one in ledger.verify()] == ["drift"]
    assert ledger.rebuild().changed == 1
    assert [*ledger.verify()] == []


def test_reading_such_a_row_says_what_mends_it(postgresql: Place, ledger: Ledger) -> None:
    run(postgresql, "UPDATE certificates SET not_valid_after = 'infinity' WHERE id = 2")
    with pytest.raises(UnreadableValue, match="certledger rebuild"):
        ledger.get(2)
    assert ledger.get(1).serial_number == "1"


@pytest.mark.parametrize("value", ODD)
def test_the_sweep_gets_past_such_a_row(postgresql: Place, ledger: Ledger, value: str) -> None:
    run(postgresql, f"UPDATE certificates SET not_valid_after = '{value}' WHERE id = 2")
    assert ledger.expire_due() == 0
    assert ledger.get(1).status == "valid"


def test_a_revocation_of_such_a_row_wins_over_it(postgresql: Place, ledger: Ledger) -> None:
    run(postgresql, "UPDATE certificates SET not_valid_after = 'infinity' WHERE id = 2")
    ledger.revoke(2)
    assert ledger.get(2).status == "revoked"
    assert [*ledger.verify()] == []


@pytest.mark.parametrize("value", ODD)
def test_such_a_time_in_the_log_is_found(postgresql: Place, ledger: Ledger, value: str) -> None:
    run(
        postgresql,
        "ALTER TABLE log_entry DISABLE TRIGGER log_entry_no_update",
        f"UPDATE log_entry SET recorded_at = '{value}' WHERE seq = 1",
        "ALTER TABLE log_entry ENABLE ALWAYS TRIGGER log_entry_no_update",
    )
    (found,) = ledger.verify()
    assert (found.kind, found.seq) == ("column", 1)
    assert value in found.message
    with pytest.raises(LogCorrupt, match="timestamp too"):
        [*ledger.events()]


@pytest.mark.parametrize("column", ["recorded_at", "created"])
def test_such_a_time_in_the_head_is_found(postgresql: Place, ledger: Ledger, column: str) -> None:
    run(
        postgresql,
        "ALTER TABLE log_head DISABLE TRIGGER log_head_grows",
        f"UPDATE log_head SET {column} = 'infinity'",
        "ALTER TABLE log_head ENABLE ALWAYS TRIGGER log_head_grows",
    )
    with pytest.raises(LogCorrupt, match="log_head: timestamp too large"):
        ledger.issue(make_certificate())
    assert {one.kind for one in ledger.verify()} == {"head-time"}
