"""Queries: who is found, in which order, and that records outlive the connection."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from certledger.bulk import Registration
from certledger.errors import InvalidValue, LedgerError, UnknownSerial, UnreadableValue
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.times import naive_utc
from certledger.ledger import Ledger
from certledger.projections.models import CERTIFICATES, CertificateRecord
from certledger.projections.status import CertificateStatus
from certledger.testing.certificates import make_certificate, pem
from certledger.testing.clock import FakeClock
from tests.support import raw

COLUMNS = [column.name for column in CERTIFICATES.c]
KINDS = ["device", "user", "device", "service", "ca", "device"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime.now().astimezone().replace(microsecond=0))


@pytest.fixture
def registry(ledger: Ledger, clock: FakeClock) -> Ledger:
    """Serials 1 to 6, ending after 10, 20, … 60 days; 2 is revoked, 3 deleted, 1 expired later."""
    for serial, kind in enumerate(KINDS, 1):
        ledger.issue(ending(clock, serial, days=10 * serial), key_type=kind)
    ledger.revoke(2, "superseded")
    ledger.revoke(3, "keyCompromise")
    ledger.delete(3)
    return ledger


def ending(
    clock: FakeClock, serial: int, *, days: float, name: str | None = None, began: float = 1
) -> Any:
    return make_certificate(
        name or f"host-{serial}",
        serial=serial,
        start=clock.now - timedelta(days=began),
        end=clock.now + timedelta(days=days),
    )


def serials(records: list[CertificateRecord]) -> list[int]:
    return [int(record.serial_number) for record in records]


# One


def test_a_record_is_found_by_serial_whatever_its_status(
    registry: Ledger, clock: FakeClock
) -> None:
    clock.step(days=11)
    registry.expire_due()
    assert [registry.get(serial).status for serial in (1, 2, 4)] == ["expired", "revoked", "valid"]


@pytest.mark.parametrize("serial", [0, 3, 7, -1, 2**160])
def test_a_serial_that_is_not_present_is_unknown(registry: Ledger, serial: int) -> None:
    with pytest.raises(UnknownSerial, match=f"serial {serial} is not in the registry"):
        registry.get(serial)


def test_records_stay_readable_after_the_registry_is_closed(url: str, clock: FakeClock) -> None:
    certificate = ending(clock, 1, days=5)
    with Ledger(url, clock=clock) as ledger:
        ledger.issue(certificate, uuid="folder")
        record = ledger.get(1)
    assert {column: getattr(record, column) for column in COLUMNS} == {
        "id": 1,
        "serial_number": "1",
        "common_name": "host-1",
        "status": "valid",
        "not_valid_before": certificate.not_valid_before_utc.replace(tzinfo=None),
        "not_valid_after": certificate.not_valid_after_utc.replace(tzinfo=None),
        "key_type": "device",
        "certificate_pem": pem(certificate).decode(),
        "revocation_date": None,
        "revocation_reason": None,
        "uuid": "folder",
    }


def test_a_name_finds_the_valid_certificate_not_past_its_end_that_began_last(
    ledger: Ledger, clock: FakeClock
) -> None:
    """As during a rotation, when two are valid at once."""
    past = ending(clock, 1, days=-1, name="n", began=2)
    older = ending(clock, 2, days=90, name="n", began=40)
    newer = ending(clock, 3, days=30, name="n", began=5)
    twin = ending(clock, 4, days=9, name="n", began=5)
    newest_revoked = ending(clock, 5, days=90, name="n", began=1)
    found = []
    for certificate in (past, older, newer, twin, newest_revoked):
        ledger.issue(certificate)
        if certificate is newest_revoked:
            ledger.revoke(5)
        record = ledger.find("n")
        assert record is not None
        found.append(int(record.serial_number))
    assert found == [1, 2, 3, 4, 4]
    assert ledger.find("N") is None
    assert ledger.find("") is None


def test_a_certificate_without_a_name_is_found_by_the_empty_one(
    ledger: Ledger, clock: FakeClock
) -> None:
    ledger.issue(make_certificate(None, serial=8))
    record = ledger.find("")
    assert record is not None
    assert record.serial_number == "8"


# Many


def test_listings_are_newest_first(registry: Ledger) -> None:
    assert serials(registry.list()) == [6, 5, 4, 2, 1]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"status": "valid"}, [6, 5, 4, 1]),
        ({"status": "REVOKED"}, [2]),
        ({"status": CertificateStatus.REVOKED}, [2]),
        ({"status": "expired"}, []),
        ({"status": "unknown"}, []),
        ({"key_type": "device"}, [6, 1]),
        ({"key_type": CertType.CA}, [5]),
        ({"key_type": "USR"}, [2]),
        ({"key_type": "internal"}, []),
        ({"status": "valid", "key_type": "device"}, [6, 1]),
        ({"status": "revoked", "key_type": "user"}, [2]),
        ({"status": "revoked", "key_type": "device"}, []),
    ],
)
def test_filters_combine_and_counting_agrees(
    registry: Ledger, filters: dict[str, Any], expected: list[int]
) -> None:
    assert serials(registry.list(**filters)) == expected
    assert serials(list(registry.each(**filters))) == expected
    assert registry.count(**filters) == len(expected)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ({"limit": 2}, [6, 5]),
        ({"limit": 2, "offset": 2}, [4, 2]),
        ({"limit": 2, "offset": 4}, [1]),
        ({"limit": 2, "offset": 5}, []),
        ({"offset": 3}, [2, 1]),
        ({"limit": 0}, []),
        ({"limit": None, "offset": 1}, [5, 4, 2, 1]),
        ({"limit": 10**30, "offset": 0}, [6, 5, 4, 2, 1]),
        ({"limit": 5, "offset": 10**30}, []),
    ],
)
def test_a_listing_has_pages(registry: Ledger, page: dict[str, Any], expected: list[int]) -> None:
    assert serials(registry.list(**page)) == expected


def test_a_listing_has_100_unless_all_are_asked_for(ledger: Ledger) -> None:
    many = [Registration(make_certificate(serial=serial)) for serial in range(1, 1_104)]
    list(ledger.issue_many(many))
    assert serials(ledger.list()) == list(range(1_103, 1_003, -1))
    assert serials(ledger.list(limit=None)) == list(range(1_103, 0, -1))
    assert serials(list(ledger.each())) == list(range(1_103, 0, -1))
    assert ledger.count() == 1_103


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"status": "good"}, "known are valid, revoked, expired, unknown"),
        ({"status": 1}, "unknown status 1"),
        ({"key_type": "robot"}, "known are "),
        ({"limit": -1}, "limit: -1 is negative"),
        ({"offset": -5}, "offset: -5 is negative"),
    ],
)
def test_an_argument_out_of_place_is_refused(
    registry: Ledger, arguments: dict[str, Any], match: str
) -> None:
    with pytest.raises(InvalidValue, match=match):
        registry.list(**arguments)
    filters = {n: v for n, v in arguments.items() if n in {"status", "key_type"}}
    if filters:
        with pytest.raises(InvalidValue, match=match):
            registry.count(**filters)
        with pytest.raises(InvalidValue, match=match):
            registry.each(**filters)


# Ends


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0, []),
        (9.99, []),
        (10, [1]),
        (30, [1]),
        (40, [1, 4]),
        (60, [1, 4, 5, 6]),
        (10**7, [1, 4, 5, 6]),
        (10**12, [1, 4, 5, 6]),
        (-1, []),
        (-(10**12), []),
    ],
)
def test_what_expires_soon_is_listed_soonest_first(
    registry: Ledger, days: float, expected: list[int]
) -> None:
    assert serials(registry.expiring(days)) == expected


def test_what_is_past_its_end_does_not_expire_soon(registry: Ledger, clock: FakeClock) -> None:
    clock.step(days=10, microseconds=-1)
    assert serials(registry.expiring(31)) == [1, 4]
    clock.step(microseconds=1)
    assert serials(registry.expiring(31)) == [4]


# Revocations


def test_revocations_are_listed_by_date_and_serial_also_of_deleted_ones(
    registry: Ledger, clock: FakeClock
) -> None:
    registry.revoke(5, "cACompromise", revocation_date=clock.now - timedelta(days=2))
    rows = registry.revoked()
    assert [row.serial_number for row in rows] == ["5", "2", "3"]
    assert [row.revocation_reason for row in rows] == [2, 4, 1]
    serial, date, reason = rows[0]
    assert (serial, reason) == ("5", 2)
    assert date == naive_utc(clock.now - timedelta(days=2)) == rows[0].revocation_date


@pytest.mark.parametrize("window", [timedelta(microseconds=-1), timedelta.min])
def test_a_window_that_would_hide_every_revocation_is_refused(
    registry: Ledger, window: timedelta
) -> None:
    with pytest.raises(InvalidValue, match="negative"):
        registry.revoked(window=window)


def test_a_revocation_leaves_the_list_with_the_certificate_s_end(
    registry: Ledger, clock: FakeClock
) -> None:
    def listed() -> list[str]:
        return [row.serial_number for row in registry.revoked()]

    clock.step(days=20, microseconds=-1)
    assert listed() == ["2", "3"]
    clock.step(microseconds=1)
    assert listed() == ["3"]
    clock.step(days=10)
    assert listed() == []


def test_a_window_leaves_older_revocations_out(registry: Ledger, clock: FakeClock) -> None:
    clock.step(days=5)
    registry.revoke(4)

    def listed(**window: float) -> list[str]:
        return [row.serial_number for row in registry.revoked(window=timedelta(**window))]

    assert listed(days=4) == ["4"]
    assert listed(days=5) == ["4"], "exactly so old is too old"
    assert listed(days=5, microseconds=1) == ["2", "3", "4"]
    assert [row.serial_number for row in registry.revoked(window=timedelta.max)] == ["2", "3", "4"]


# Status


def test_status_tells_everything_at_a_glance(registry: Ledger, clock: FakeClock) -> None:
    status = registry.status()
    assert status.counts == {"valid": 4, "revoked": 1}
    assert status.retired == 1
    assert status.head == registry.head()
    assert status.head.size == 9
    assert status.url == registry.url
    assert status.versions == {"format": "1", "schema": "0002", "projector": "1"}
    assert status.warnings == []
    assert registry.file is not None
    assert status.size_bytes == sum(
        path.stat().st_size
        for path in (registry.file, Path(f"{registry.file}-wal"))
        if path.exists()
    )


def test_a_registry_in_memory_says_that_it_will_be_lost() -> None:
    with Ledger("sqlite://") as ledger:
        status = ledger.status()
    assert status.size_bytes is None
    assert "lives in memory" in status.warnings[0]


# Damage


@pytest.mark.parametrize(
    "edit",
    [
        "not_valid_after = 'never'",
        "not_valid_before = 5",
        "revocation_date = x'ff'",
        "common_name = CAST(x'ff' AS TEXT)",
    ],
)
def test_an_edited_value_that_cannot_be_read_is_a_typed_error(registry: Ledger, edit: str) -> None:
    assert registry.file is not None
    raw.edit(registry.file, f"UPDATE certificates SET {edit} WHERE serial_number = '4'")
    for query in (lambda: registry.get(4), registry.list, lambda: list(registry.each())):
        with pytest.raises(UnreadableValue, match="certledger rebuild"):
            query()
    assert registry.get(5).serial_number == "5"
    registry.rebuild()
    assert serials(registry.list()) == [6, 5, 4, 2, 1]


def test_a_missing_table_is_a_typed_error(registry: Ledger) -> None:
    assert registry.file is not None
    with raw.opened(registry.file) as stranger:
        stranger.execute("DROP TABLE certificates")
    with pytest.raises(LedgerError, match="certificates"):
        registry.list()
    with pytest.raises(LedgerError, match="certificates"):
        registry.revoke(4)
    assert len(registry.history(4)) == 1
