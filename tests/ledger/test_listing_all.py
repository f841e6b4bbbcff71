"""Listing every certificate without holding all of them in memory."""

from __future__ import annotations

import pytest

from certledger import CertType, Ledger, Registration
from certledger.errors import InvalidValue
from certledger.eventstore.reader import PAGE
from certledger.testing.certificates import make_certificate


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """More certificates than a page has, every tenth of a service, the last one revoked."""
    certificate = make_certificate(serial=1)
    ledger.issue(certificate, key_type="service")
    rest = (
        Registration(
            make_certificate(serial=serial),
            key_type=CertType.SERVICE if serial % 10 == 1 else CertType.DEVICE,
        )
        for serial in range(2, PAGE + 12)
    )
    assert all(outcome.event for outcome in ledger.issue_many(rest))
    ledger.revoke(1)
    return ledger


def test_all_come_newest_first_over_the_borders_of_pages(filled: Ledger) -> None:
    serials = [int(record.serial_number) for record in filled.each()]
    assert serials == list(range(PAGE + 11, 0, -1))


def test_filters_combine(filled: Ledger) -> None:
    services = [int(record.serial_number) for record in filled.each(key_type="SVC")]
    assert services == list(range(PAGE + 11, 0, -1))[0::10]
    assert [r.serial_number for r in filled.each(status="revoked", key_type="service")] == ["1"]
    assert filled.count(key_type="service") == len(services)


def test_what_is_registered_meanwhile_neither_repeats_nor_hides_others(filled: Ledger) -> None:
    records = filled.each()
    first = next(records)
    filled.issue(make_certificate(serial=10_000))
    rest = [int(record.serial_number) for record in records]
    assert [int(first.serial_number), *rest] == list(range(PAGE + 11, 0, -1))


def test_an_unknown_filter_is_refused_before_anything_is_read(ledger: Ledger) -> None:
    with pytest.raises(InvalidValue, match="unknown status"):
        ledger.each(status="asleep")
