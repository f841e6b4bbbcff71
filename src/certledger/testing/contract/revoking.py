"""`revoke_certificate` and `get_revoked_certificates`."""

from __future__ import annotations

import inspect
import logging
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ReasonFlags

from certledger.db.base_db import BaseDB
from certledger.db.const import RevokeStatus
from certledger.testing.backend import Backend
from certledger.testing.clock import FakeClock
from certledger.testing.issue import Issue
from certledger.testing.rules import covers
from certledger.testing.suite import Suite
from certledger.testing.told import lines, record_of

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
NO_REASONS = [ReasonFlags.remove_from_crl, "removeFromCRL", 8, 7, 11, -1, 1.0, True, "", "lost"]
OK = (True, RevokeStatus.OK)
NOT_FOUND = (False, RevokeStatus.NOT_FOUND)
UNKNOWN_ERROR = (False, RevokeStatus.UNKNOWN_ERROR)


def serials(handler: BaseDB, **options: Any) -> list[str]:
    revoked: Any = handler.get_revoked_certificates
    return [row.serial_number for row in revoked(**options)]


class Revoking(Suite):
    """Revoking certificates, and what a CRL is to list."""

    @pytest.fixture
    def one(self, handler: BaseDB, issue: Issue) -> BaseDB:
        """A handler with a valid certificate, serial 1, uuid one."""
        handler.register_cert_in_db(issue(serial=1), "one")
        return handler

    @covers("revoke.ok", "revoke.default_reason")
    def test_a_valid_certificate_is_revoked_now_for_no_stated_reason(
        self, one: BaseDB, time: FakeClock
    ) -> None:
        assert one.revoke_certificate(1) == OK
        record = record_of(one, 1)
        assert (record.status, record.revocation_reason) == ("revoked", 0)
        assert record.revocation_date == time.now.replace(tzinfo=None)

    @covers("revoke.ok", "record.revocation_date")
    def test_a_revocation_is_dated_to_the_microsecond(self, one: BaseDB, time: FakeClock) -> None:
        time.step(seconds=1)
        time.now = time.now.replace(microsecond=123_457)
        one.revoke_certificate(1)
        (row,) = one.get_revoked_certificates()
        assert row.revocation_date.microsecond == 123_457

    @covers("revoke.not_valid")
    def test_what_is_not_valid_is_not_found(self, one: BaseDB, issue: Issue) -> None:
        one.register_cert_in_db(issue(serial=2, starts=-9, ends=-1), "expired")
        one.update_status_expired()
        one.revoke_certificate(1, ReasonFlags.superseded)
        assert one.revoke_certificate(1, ReasonFlags.key_compromise) == NOT_FOUND
        assert one.revoke_certificate(2) == NOT_FOUND
        assert one.revoke_certificate(3) == NOT_FOUND
        assert record_of(one, 1).revocation_reason == 4

    @covers("revoke.not_valid")
    def test_a_deleted_certificate_is_not_found(self, one: BaseDB) -> None:
        one.delete_by_uuid("one")
        assert one.revoke_certificate(1) == NOT_FOUND

    @covers("revoke.not_valid")
    def test_a_certificate_past_its_end_is_valid_until_the_sweep(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        handler.register_cert_in_db(issue(serial=1, starts=-9, ends=-1), None)
        assert handler.revoke_certificate(1) == OK

    @covers("revoke.reasons")
    @pytest.mark.parametrize("spelling", ["flag", "name", "lower", "upper", "code"])
    def test_a_reason_is_stored_as_its_number_however_it_is_spelled(
        self, handler: BaseDB, issue: Issue, spelling: str
    ) -> None:
        for serial, (name, code) in enumerate(CODES.items(), 1):
            handler.register_cert_in_db(issue(serial=serial), None)
            spelled: dict[str, Any] = {
                "flag": ReasonFlags(name),
                "name": name,
                "lower": name.lower(),
                "upper": name.upper(),
                "code": code,
            }
            assert handler.revoke_certificate(serial, spelled[spelling]) == OK
            assert record_of(handler, serial).revocation_reason == code

    @covers("revoke.reasons")
    def test_none_is_the_unspecified_reason(self, one: BaseDB) -> None:
        nothing: Any = None
        assert one.revoke_certificate(1, nothing) == OK
        assert record_of(one, 1).revocation_reason == 0

    @covers("revoke.remove_from_crl", "revoke.bad_reason")
    def test_what_is_no_reason_to_revoke_is_refused(
        self, one: BaseDB, log: pytest.LogCaptureFixture
    ) -> None:
        bad: Any
        for bad in (*NO_REASONS, object()):
            log.clear()
            assert one.revoke_certificate(1, bad) == UNKNOWN_ERROR
            assert len(lines(log, logging.WARNING)) == 1
        assert record_of(one, 1).status == "valid"

    @covers("revoke.not_valid", "revoke.bad_reason")
    def test_what_is_no_serial_number_is_refused(self, one: BaseDB) -> None:
        serial: Any
        for serial in (None, "abc", 1.0):
            assert one.revoke_certificate(serial) == UNKNOWN_ERROR
        assert record_of(one, 1).status == "valid"

    @covers("revoked.generator")
    def test_revoked_certificates_come_from_a_generator(self, opened_answer: object) -> None:
        assert inspect.isgenerator(opened_answer) or inspect.isasyncgen(opened_answer)

    @pytest.fixture
    def opened_answer(self, one: BaseDB) -> object:
        """The answer as the handler itself gives it, which has not begun yet."""
        wrapped: Any = getattr(one, "wrapped", one)
        return wrapped.get_revoked_certificates()

    @covers("revoked.rows")
    def test_revoked_rows_are_read_by_attribute_and_by_position(
        self, one: BaseDB, time: FakeClock
    ) -> None:
        one.revoke_certificate(1, ReasonFlags.ca_compromise)
        (row,) = one.get_revoked_certificates()
        date = time.now.replace(tzinfo=None)
        assert (row.serial_number, row.revocation_date, row.revocation_reason) == ("1", date, 2)
        assert (row[0], row[1], row[2]) == ("1", date, 2)
        assert tuple(row) == ("1", date, 2)

    @covers("revoked.rows")
    def test_a_revoked_row_goes_into_a_crl_as_it_is(self, one: BaseDB) -> None:
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
    def test_none_revoked_is_an_empty_answer(self, one: BaseDB) -> None:
        assert list(one.get_revoked_certificates()) == []

    @covers("revoked.order")
    def test_revoked_rows_are_ordered_by_date_and_serial(
        self, handler: BaseDB, issue: Issue, time: FakeClock
    ) -> None:
        for serial in (3, 1, 2, 4):
            handler.register_cert_in_db(issue(serial=serial), f"{serial}")
        for serial in (4, 2):
            handler.revoke_certificate(serial)
        time.step(hours=1)
        for serial in (3, 1):
            handler.revoke_certificate(serial)
        handler.delete_by_uuid("2")
        assert serials(handler) == ["2", "4", "1", "3"]

    @covers("revoked.past_end")
    def test_a_revocation_leaves_the_list_when_its_certificate_ends(
        self, handler: BaseDB, issue: Issue, time: FakeClock
    ) -> None:
        handler.register_cert_in_db(issue(serial=1, ends=5), "u")
        handler.revoke_certificate(1)
        time.step(days=4)
        assert serials(handler) == ["1"]
        time.step(days=2)
        assert serials(handler) == []
        assert serials(handler, window=None) == []

    @covers("revoked.window", "revoked.no_window")
    def test_a_revocation_leaves_the_list_after_365_days_unless_no_window_is_wanted(
        self, handler: BaseDB, issue: Issue, time: FakeClock
    ) -> None:
        handler.register_cert_in_db(issue(serial=1, ends=2000), "u")
        handler.revoke_certificate(1)
        time.step(days=365, seconds=-1)
        assert serials(handler) == ["1"]
        time.step(seconds=1)
        assert serials(handler) == []
        assert serials(handler, window=None) == ["1"]
        assert serials(handler, window=timedelta(days=366)) == ["1"]

    @covers("revoked.no_window")
    def test_a_window_before_all_dates_means_all(self, one: BaseDB) -> None:
        one.revoke_certificate(1)
        for window in (timedelta(days=10**6), timedelta.max):
            assert serials(one, window=window) == ["1"]

    @covers("revoked.raises")
    def test_a_window_that_means_nothing_raises_and_is_no_empty_list(self, one: BaseDB) -> None:
        one.revoke_certificate(1)
        for window in (30, timedelta(days=-1), "year"):
            with pytest.raises((TypeError, ValueError)):
                serials(one, window=window)

    @covers("revoked.deleted")
    def test_deleting_a_revoked_certificate_does_not_end_its_revocation(self, one: BaseDB) -> None:
        one.revoke_certificate(1, ReasonFlags.key_compromise)
        before = list(one.get_revoked_certificates())
        assert one.delete_by_uuid("one") is True
        assert one.get_by_serial(1) is None
        assert list(one.get_revoked_certificates()) == before

    @covers("revoked.deleted")
    def test_a_certificate_deleted_without_revocation_is_not_listed(self, one: BaseDB) -> None:
        one.delete_by_uuid("one")
        assert serials(one) == []

    @covers("revoked.one_query")
    def test_all_rows_are_fetched_before_the_first_is_yielded(
        self, one: BaseDB, issue: Issue, backend: Backend, url: str
    ) -> None:
        one.register_cert_in_db(issue(serial=2), "two")
        one.revoke_certificate(1)
        answer = one.get_revoked_certificates()
        assert next(answer).serial_number == "1"
        one.revoke_certificate(2)
        with backend.stranger(url) as stranger:
            stranger.exec_driver_sql("DROP TABLE certificates")
        assert list(answer) == []

    @covers("revoked.one_query")
    def test_an_abandoned_answer_holds_no_connection(self, one: BaseDB, issue: Issue) -> None:
        one.register_cert_in_db(issue(serial=2), "two")
        one.revoke_certificate(1)
        one.revoke_certificate(2)
        abandoned = [one.get_revoked_certificates() for _ in range(30)]
        assert {next(answer).serial_number for answer in abandoned} == {"1"}
        assert record_of(one, 2).status == "revoked"
        for answer in abandoned:
            answer.close()
