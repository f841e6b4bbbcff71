"""`revoke_certificate` and `get_revoked_certificates`."""

from __future__ import annotations

import inspect
import logging
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ReasonFlags

from certledger.db import RevokeStatus, SyncDBHandler
from tests.support.clock import FakeClock
from tests.support.contract import covers
from tests.support.facade import Issue, lines

# RFC 5280 §5.3.1.
CODES = {
    "unspecified": 0,
    "keyCompromise": 1,
    "cACompromise": 2,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "certificateHold": 6,
    "privilegeWithdrawn": 9,
    "aACompromise": 10,
}
NOT_FOUND = (False, RevokeStatus.NOT_FOUND)
UNKNOWN_ERROR = (False, RevokeStatus.UNKNOWN_ERROR)


def reason(handler: SyncDBHandler, serial: int) -> int | None:
    record = handler.get_by_serial(serial)
    assert record is not None
    return record.revocation_reason


def serials(handler: SyncDBHandler, **options: Any) -> list[str]:
    return [row.serial_number for row in handler.get_revoked_certificates(**options)]


@pytest.fixture
def one(handler: SyncDBHandler, issue: Issue) -> SyncDBHandler:
    """A handler with a valid certificate, serial 1, uuid one."""
    handler.register_cert_in_db(issue(serial=1), "one")
    return handler


@covers("revoke.ok", "revoke.default_reason")
def test_a_valid_certificate_is_revoked_now_for_no_stated_reason(
    one: SyncDBHandler, clock: FakeClock
) -> None:
    assert one.revoke_certificate(1) == (True, RevokeStatus.OK)
    record = one.get_by_serial(1)
    assert record is not None
    assert (record.status, record.revocation_reason) == ("revoked", 0)
    assert record.revocation_date == clock.now.replace(tzinfo=None)


@covers("revoke.not_valid")
def test_what_is_not_valid_is_not_found(one: SyncDBHandler, issue: Issue) -> None:
    one.register_cert_in_db(issue(serial=2, starts=-9, ends=-1), "expired")
    one.update_status_expired()
    one.revoke_certificate(1, ReasonFlags.superseded)
    assert one.revoke_certificate(1, ReasonFlags.key_compromise) == NOT_FOUND
    assert one.revoke_certificate(2) == NOT_FOUND
    assert one.revoke_certificate(3) == NOT_FOUND
    assert reason(one, 1) == 4


@covers("revoke.not_valid")
def test_a_deleted_certificate_is_not_found(one: SyncDBHandler) -> None:
    one.delete_by_uuid("one")
    assert one.revoke_certificate(1) == NOT_FOUND


@covers("revoke.not_valid")
def test_a_certificate_past_its_end_is_valid_until_the_sweep(
    handler: SyncDBHandler, issue: Issue
) -> None:
    handler.register_cert_in_db(issue(serial=1, starts=-9, ends=-1), None)
    assert handler.revoke_certificate(1) == (True, RevokeStatus.OK)


@covers("revoke.reasons")
@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("spelling", ["flag", "name", "lower", "upper", "code"])
def test_a_reason_is_stored_as_its_number_however_it_is_spelled(
    one: SyncDBHandler, name: str, spelling: str
) -> None:
    spelled: dict[str, Any] = {
        "flag": ReasonFlags(name),
        "name": name,
        "lower": name.lower(),
        "upper": name.upper(),
        "code": CODES[name],
    }
    assert one.revoke_certificate(1, spelled[spelling]) == (True, RevokeStatus.OK)
    assert reason(one, 1) == CODES[name]


@covers("revoke.reasons")
def test_none_is_the_unspecified_reason(one: SyncDBHandler) -> None:
    nothing: Any = None
    assert one.revoke_certificate(1, nothing) == (True, RevokeStatus.OK)
    assert reason(one, 1) == 0


@covers("revoke.remove_from_crl", "revoke.bad_reason")
@pytest.mark.parametrize(
    "bad",
    [ReasonFlags.remove_from_crl, "removeFromCRL", 8, 7, 11, -1, 1.0, True, "", "lost", object()],
    ids=lambda bad: type(bad).__name__ + ("" if type(bad) is object else f" {bad}"),
)
def test_what_is_no_reason_to_revoke_is_refused(
    one: SyncDBHandler, log: pytest.LogCaptureFixture, bad: Any
) -> None:
    log.clear()
    assert one.revoke_certificate(1, bad) == UNKNOWN_ERROR
    record = one.get_by_serial(1)
    assert record is not None
    assert record.status == "valid"
    assert len(lines(log, logging.WARNING)) == 1


@covers("revoke.not_valid", "revoke.bad_reason")
@pytest.mark.parametrize("serial", [None, "abc", 1.0])
def test_what_is_no_serial_number_is_refused(one: SyncDBHandler, serial: Any) -> None:
    assert one.revoke_certificate(serial) == UNKNOWN_ERROR


@covers("revoked.generator", "revoked.rows")
def test_revoked_certificates_come_as_rows_from_a_generator(
    one: SyncDBHandler, clock: FakeClock
) -> None:
    one.revoke_certificate(1, ReasonFlags.ca_compromise)
    assert inspect.isgenerator(one.get_revoked_certificates())
    (row,) = one.get_revoked_certificates()
    date = clock.now.replace(tzinfo=None)
    assert (row.serial_number, row.revocation_date, row.revocation_reason) == ("1", date, 2)
    assert (row[0], row[1], row[2]) == ("1", date, 2)
    assert tuple(row) == ("1", date, 2)


@covers("revoked.rows")
def test_a_revoked_row_goes_into_a_crl_as_it_is(one: SyncDBHandler) -> None:
    one.revoke_certificate(1)
    (row,) = one.get_revoked_certificates()
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(int(row.serial_number))
        .revocation_date(row.revocation_date)
        .build()
    )
    assert entry.serial_number == 1


@covers("revoked.generator")
def test_none_revoked_is_an_empty_answer(one: SyncDBHandler) -> None:
    assert list(one.get_revoked_certificates()) == []


@covers("revoked.order")
def test_revoked_rows_are_ordered_by_date_and_serial(
    handler: SyncDBHandler, issue: Issue, clock: FakeClock
) -> None:
    for serial in (3, 1, 2, 4):
        handler.register_cert_in_db(issue(serial=serial), f"{serial}")
    for serial in (4, 2):
        handler.revoke_certificate(serial)
    clock.step(hours=1)
    for serial in (3, 1):
        handler.revoke_certificate(serial)
    handler.delete_by_uuid("2")
    assert serials(handler) == ["2", "4", "1", "3"]


@covers("revoked.past_end")
def test_a_revocation_leaves_the_list_when_its_certificate_ends(
    handler: SyncDBHandler, issue: Issue, clock: FakeClock
) -> None:
    handler.register_cert_in_db(issue(serial=1, ends=5), "u")
    handler.revoke_certificate(1)
    clock.step(days=4)
    assert serials(handler) == ["1"]
    clock.step(days=2)
    assert serials(handler) == []
    assert serials(handler, window=None) == []


@covers("revoked.window", "revoked.no_window")
def test_a_revocation_leaves_the_list_after_365_days_unless_no_window_is_wanted(
    handler: SyncDBHandler, issue: Issue, clock: FakeClock
) -> None:
    handler.register_cert_in_db(issue(serial=1, ends=2000), "u")
    handler.revoke_certificate(1)
    clock.step(days=365, seconds=-1)
    assert serials(handler) == ["1"]
    clock.step(seconds=1)
    assert serials(handler) == []
    assert serials(handler, window=None) == ["1"]
    assert serials(handler, window=timedelta(days=366)) == ["1"]


@covers("revoked.no_window")
@pytest.mark.parametrize("window", [timedelta(days=10**6), timedelta.max])
def test_a_window_before_all_dates_means_all(one: SyncDBHandler, window: timedelta) -> None:
    one.revoke_certificate(1)
    assert serials(one, window=window) == ["1"]


@covers("revoked.raises")
@pytest.mark.parametrize("window", [30, timedelta(days=-1), "year"])
def test_a_window_that_means_nothing_raises_and_is_no_empty_list(
    one: SyncDBHandler, window: Any
) -> None:
    one.revoke_certificate(1)
    with pytest.raises((TypeError, ValueError)):
        list(one.get_revoked_certificates(window=window))


@covers("revoked.deleted")
def test_deleting_a_revoked_certificate_does_not_end_its_revocation(one: SyncDBHandler) -> None:
    one.revoke_certificate(1, ReasonFlags.key_compromise)
    before = list(one.get_revoked_certificates())
    assert one.delete_by_uuid("one") is True
    assert one.get_by_serial(1) is None
    assert list(one.get_revoked_certificates()) == before


@covers("revoked.deleted")
def test_a_certificate_deleted_without_revocation_is_not_listed(one: SyncDBHandler) -> None:
    one.delete_by_uuid("one")
    assert serials(one) == []


@covers("revoked.one_query")
def test_all_rows_are_fetched_before_the_first_is_yielded(one: SyncDBHandler, issue: Issue) -> None:
    one.register_cert_in_db(issue(serial=2), "two")
    one.revoke_certificate(1)
    answer = one.get_revoked_certificates()
    assert next(answer).serial_number == "1"
    one.revoke_certificate(2)
    with one._db._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE certificates")
    assert list(answer) == []


@covers("revoked.one_query")
def test_an_abandoned_answer_holds_no_connection(one: SyncDBHandler) -> None:
    one.revoke_certificate(1)
    answer = one.get_revoked_certificates()
    next(answer)
    assert one._db._engine.pool.checkedout() <= 1  # type: ignore[attr-defined] # the writer's
    answer.close()
