"""How CRLs are numbered, what the log records of them, and what stops one."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from certledger import Ledger
from certledger.crl import MAX_NUMBER, Issuer
from certledger.errors import InvalidValue, LogCorrupt
from certledger.eventstore.actor import acting_as
from certledger.eventstore.events import CrlPublished
from certledger.testing.certificates import make_ca
from certledger.testing.clock import FakeClock
from tests.support.crl import (
    number,
    published,
    revoked,
    serials,
    sign,
)

OURS = make_ca()


def test_numbers_grow_by_one_for_each_key(ledger: Ledger) -> None:
    other = make_ca("Another CA")
    assert [number(sign(ledger)) for _ in range(3)] == [1, 2, 3]
    assert number(sign(ledger, other)) == 1


def test_the_last_number_is_found_behind_many_crls_of_other_keys(ledger: Ledger) -> None:
    sign(ledger)
    for _ in range(25):
        sign(ledger, make_ca("Another CA"))
    assert number(sign(ledger)) == 2


def test_a_greater_number_is_taken_and_counted_on_from(ledger: Ledger) -> None:
    assert number(sign(ledger, number=1000)) == 1000
    assert number(sign(ledger)) == 1001


@pytest.mark.parametrize("wanted", [-1, 0, 4, 5])
def test_a_number_that_is_not_greater_is_refused(ledger: Ledger, wanted: int) -> None:
    sign(ledger, number=5)
    with pytest.raises(InvalidValue, match=f"number {wanted}: must be greater.* 5"):
        sign(ledger, number=wanted)
    assert len(published(ledger)) == 1


def test_a_number_has_at_most_20_octets(ledger: Ledger) -> None:
    with pytest.raises(InvalidValue, match="20 octets"):
        sign(ledger, number=MAX_NUMBER + 1)
    assert number(sign(ledger, number=MAX_NUMBER)) == MAX_NUMBER
    with pytest.raises(InvalidValue, match="20 octets"):
        sign(ledger)


def test_concurrent_publishers_never_share_a_number(ledger: Ledger, url: str) -> None:
    revoked(ledger)
    numbers: list[int] = []

    def publish() -> None:
        with Ledger(url) as own:
            numbers.extend(number(sign(own)) for _ in range(4))

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 17))
    assert [int(data.number) for data in published(ledger)] == list(range(1, 17))


@pytest.mark.parametrize("days", [0, -1, 4_000_000, 10**12])
def test_days_that_give_no_date_are_refused(ledger: Ledger, days: int) -> None:
    with pytest.raises(InvalidValue, match="days"):
        sign(ledger, days=days)
    assert published(ledger) == []


# What is recorded


def test_the_event_records_what_was_signed(ledger: Ledger, clock: FakeClock) -> None:
    revoked(ledger)
    size = ledger.head().size
    with acting_as("alice@example.org", comment="monthly"):
        result = ledger.crl(OURS.certificate, OURS.key, days=30)
    second = clock.now.replace(microsecond=0)
    assert result.event.data == CrlPublished(
        number="1",
        this_update=second,
        next_update=second + timedelta(days=30),
        sha256=hashlib.sha256(result.crl.public_bytes(Encoding.DER)).hexdigest(),
        entries=1,
        log_size=size,
        issuer="O=Example,CN=Test CA",
        comment="monthly",
    )
    assert result.event.authid == "alice@example.org"
    assert result.event.subject == Issuer(OURS.certificate, OURS.key).subject
    assert list(ledger.events(type="crl")) == [result.event]


def test_an_entry_that_was_changed_stops_the_crl(ledger: Ledger) -> None:
    serial = revoked(ledger, reason="keyCompromise")
    tamper(
        ledger,
        "UPDATE log_entry SET entry = CAST(replace(CAST(entry AS TEXT), 'keyCompromise',"
        f" 'unspecified') AS BLOB) WHERE subject = 'certificate/{serial}'",
    )
    with pytest.raises(LogCorrupt, match="not those that were hashed"):
        sign(ledger)


def test_a_revocation_moved_out_of_its_stream_stops_the_crl(ledger: Ledger) -> None:
    serial = revoked(ledger)
    tamper(
        ledger,
        f"UPDATE log_entry SET subject = 'certificate/1' WHERE streamversion = 1 AND "
        f"subject = 'certificate/{serial}'",
    )
    with pytest.raises(LogCorrupt, match="not found in its stream"):
        sign(ledger)


def test_a_revocation_whose_type_was_hidden_is_still_found_by_the_table(ledger: Ledger) -> None:
    serial = revoked(ledger)
    tamper(ledger, "UPDATE log_entry SET type = 'x' WHERE streamversion = 1")
    assert serials(sign(ledger)) == {serial}


def tamper(ledger: Ledger, statement: str) -> None:
    """Change the log as somebody could who takes its triggers off."""

    def work(connection: Connection, _retrying: bool) -> None:
        connection.exec_driver_sql("DROP TRIGGER log_entry_no_update")
        connection.exec_driver_sql(statement)

    ledger.database.write(work)
