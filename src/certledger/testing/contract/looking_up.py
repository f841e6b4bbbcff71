"""`get_by_serial`, `get_by_name`, `list_all` and `get_expiring`."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from certledger.db.base_db import BaseDB
from certledger.db.const import CertificateStatus
from certledger.eventstore.cert_type import CertType
from certledger.testing.clock import FakeClock
from certledger.testing.issue import Issue
from certledger.testing.rules import covers
from certledger.testing.suite import Suite
from certledger.testing.told import lines, record_of, uuids


def found(handler: BaseDB, name: str) -> str | None:
    record = handler.get_by_name(name)
    return None if record is None else record.uuid


class LookingUp(Suite):
    """Looking up certificates by serial number, name, status, type and end."""

    @covers("get_by_serial.any_status")
    def test_a_serial_is_found_whatever_its_status(self, handler: BaseDB, issue: Issue) -> None:
        handler.register_cert_in_db(issue(serial=1), None)
        handler.register_cert_in_db(issue(serial=2), None)
        handler.register_cert_in_db(issue(serial=3, starts=-9, ends=-1), None)
        handler.revoke_certificate(2)
        handler.update_status_expired()
        statuses = [record_of(handler, serial).status for serial in (1, 2, 3)]
        assert statuses == ["valid", "revoked", "expired"]

    @covers("get_by_serial.missing")
    def test_a_serial_that_is_not_there_is_none(
        self, handler: BaseDB, log: pytest.LogCaptureFixture
    ) -> None:
        serial: Any
        for serial in (4, 0, -1, 2**159, 2**400, "4"):
            assert handler.get_by_serial(serial) is None
        assert lines(log, logging.ERROR) == []

    @covers("get_by_serial.missing")
    def test_what_is_no_serial_is_none_and_a_warning(
        self, handler: BaseDB, issue: Issue, log: pytest.LogCaptureFixture
    ) -> None:
        handler.register_cert_in_db(issue(serial=1), None)
        serial: Any
        for serial in (None, "", "abc", "1.0", 1.5, "0x10", True):
            log.clear()
            assert handler.get_by_serial(serial) is None
            assert len(lines(log, logging.WARNING)) == 1

    @covers("get_by_serial.any_status")
    def test_a_serial_may_be_given_as_the_text_that_records_hold(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        handler.register_cert_in_db(issue(serial=2**150), "u")
        (record,) = handler.list_all()
        serial: Any = record.serial_number
        assert record_of(handler, serial).uuid == "u"

    @covers("get_by_name.valid", "get_by_name.missing")
    def test_only_a_valid_certificate_is_found_by_name(self, handler: BaseDB, issue: Issue) -> None:
        handler.register_cert_in_db(issue("name", serial=1), "u")
        assert found(handler, "name") == "u"
        assert handler.get_by_name("other") is None
        handler.revoke_certificate(1)
        assert handler.get_by_name("name") is None

    @covers("get_by_name.missing")
    def test_names_that_a_collation_may_take_for_equal_are_not(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        handler.register_cert_in_db(issue("näme"), "u")
        for other in ("NÄME", "name", "näme ", " näme", "na\u0308me", "n_me", "n%"):
            assert handler.get_by_name(other) is None
        assert found(handler, "näme") == "u"

    @covers("get_by_name.valid")
    def test_an_expired_certificate_is_not_found_by_name(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        handler.register_cert_in_db(issue("name", starts=-9, ends=-1), "u")
        assert found(handler, "name") == "u"
        handler.update_status_expired()
        assert handler.get_by_name("name") is None

    @covers("get_by_name.not_past_end")
    @pytest.mark.parametrize("order", [["past", "live"], ["live", "past"]], ids=" ".join)
    def test_of_two_valid_the_one_not_past_its_end_is_found(
        self, handler: BaseDB, issue: Issue, order: list[str]
    ) -> None:
        made = {
            "past": issue("name", starts=-2, ends=-1),
            "live": issue("name", starts=-30, ends=30),
        }
        for uuid in order:
            handler.register_cert_in_db(made[uuid], uuid)
        assert found(handler, "name") == "live"

    @covers("get_by_name.latest_start")
    @pytest.mark.parametrize("order", [["old", "new"], ["new", "old"]], ids=" ".join)
    def test_of_two_alive_the_one_that_began_last_is_found(
        self, handler: BaseDB, issue: Issue, order: list[str]
    ) -> None:
        made = {"old": issue("name", starts=-30, ends=60), "new": issue("name", starts=-1, ends=30)}
        for uuid in order:
            handler.register_cert_in_db(made[uuid], uuid)
        assert found(handler, "name") == "new"

    @covers("get_by_name.highest_id")
    def test_of_two_that_began_together_the_one_registered_last_is_found(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        for uuid, serial in (("first", 9), ("second", 5)):
            handler.register_cert_in_db(issue("name", serial=serial), uuid)
        assert found(handler, "name") == "second"

    @pytest.fixture
    def four(self, handler: BaseDB, issue: Issue) -> BaseDB:
        """A valid device, a revoked service, a valid service, an expired user, in this order."""
        handler.register_cert_in_db(issue(serial=1), "device")
        handler.register_cert_in_db(issue(serial=2), "revoked", CertType.SERVICE)
        handler.register_cert_in_db(issue(serial=3), "service", CertType.SERVICE)
        handler.register_cert_in_db(issue(serial=4, starts=-9, ends=-1), "expired", CertType.USER)
        handler.revoke_certificate(2)
        handler.update_status_expired()
        return handler

    @covers("list.newest_first")
    def test_the_newest_is_listed_first(self, four: BaseDB) -> None:
        assert uuids(four.list_all()) == ["expired", "service", "revoked", "device"]
        ids = [record.id for record in four.list_all()]
        assert ids == sorted(ids, reverse=True)

    @covers("list.filters")
    def test_filters_combine(self, four: BaseDB) -> None:
        for filters, expected in FILTERS:
            assert uuids(four.list_all(**filters)) == expected

    @covers("list.pages")
    def test_a_page_has_a_limit_and_an_offset(self, four: BaseDB) -> None:
        for limit, offset, expected in PAGES:
            assert uuids(four.list_all(limit=limit, offset=offset)) == expected

    @covers("list.default_limit")
    def test_a_hundred_are_listed_where_no_limit_is_given(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        for serial in range(1, 102):
            handler.register_cert_in_db(issue(serial=serial), None)
        assert len(handler.list_all()) == 100
        assert len(handler.list_all(limit=1000)) == 101

    @covers("list.unknown", "list.negative")
    def test_a_filter_that_means_nothing_lists_nothing_and_warns(
        self, four: BaseDB, log: pytest.LogCaptureFixture
    ) -> None:
        for bad in NO_FILTERS:
            log.clear()
            assert four.list_all(**bad) == []
            assert [record.levelno for record in log.records] == [logging.WARNING]

    @covers("expiring.window")
    def test_what_expires_within_the_window_is_listed_soonest_first(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        for uuid, ends in (("later", 20), ("soon", 1), ("after", 31.5), ("past", -0.5)):
            handler.register_cert_in_db(issue(ends=ends), uuid)
        handler.register_cert_in_db(issue(ends=2, serial=7), "revoked")
        handler.revoke_certificate(7)
        assert uuids(handler.get_expiring(within_days=30)) == ["soon", "later"]
        assert uuids(handler.get_expiring(within_days=32)) == ["soon", "later", "after"]

    @covers("expiring.window")
    def test_the_window_takes_its_end_in_and_leaves_now_out(
        self, handler: BaseDB, issue: Issue, time: FakeClock
    ) -> None:
        time.now = time.now.replace(microsecond=0)
        for uuid, ends in (("now", 0), ("end", 10)):
            handler.register_cert_in_db(issue(ends=ends), uuid)
        assert uuids(handler.get_expiring(within_days=10)) == ["end"]
        time.now -= timedelta(seconds=1)
        assert uuids(handler.get_expiring(within_days=10)) == ["now"]

    @covers("expiring.default")
    def test_thirty_days_are_looked_ahead_where_nothing_is_said(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        for uuid, ends in (("in", 29), ("out", 31)):
            handler.register_cert_in_db(issue(ends=ends), uuid)
        assert uuids(handler.get_expiring()) == ["in"]

    @covers("expiring.huge")
    def test_a_window_too_large_for_a_date_means_all(self, handler: BaseDB, issue: Issue) -> None:
        handler.register_cert_in_db(issue(ends=36_500), "u")
        days: Any
        for days in (10**7, 10**12, 10**30, float("inf")):
            assert uuids(handler.get_expiring(within_days=days)) == ["u"]

    @covers("expiring.negative")
    def test_a_window_that_does_not_look_ahead_has_nothing(
        self, handler: BaseDB, issue: Issue, log: pytest.LogCaptureFixture
    ) -> None:
        handler.register_cert_in_db(issue(ends=1), "u")
        handler.register_cert_in_db(issue(ends=-0.5), "v")
        for days in (-1, -(10**7), -(10**30), 0):
            assert handler.get_expiring(within_days=days) == []
        assert lines(log, logging.ERROR) == []


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"status": "valid"}, ["service", "device"]),
    ({"status": CertificateStatus.REVOKED}, ["revoked"]),
    ({"status": "expired"}, ["expired"]),
    ({"key_type": "service"}, ["service", "revoked"]),
    ({"key_type": CertType.USER}, ["expired"]),
    ({"status": "valid", "key_type": "service"}, ["service"]),
    ({"status": "revoked", "key_type": "device"}, []),
    ({"status": "unknown"}, []),
]
PAGES: list[tuple[Any, int, list[str]]] = [
    (2, 0, ["expired", "service"]),
    (2, 2, ["revoked", "device"]),
    (2, 3, ["device"]),
    (100, 4, []),
    (0, 0, []),
    (10**12, 0, ["expired", "service", "revoked", "device"]),
    (None, 1, ["service", "revoked", "device"]),
]
NO_FILTERS: list[dict[str, Any]] = [
    {"status": "lost"},
    {"status": ""},
    {"key_type": "printer"},
    {"limit": -1},
    {"offset": -1},
]
