"""`delete_by_uuid` and `update_status_expired`."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from certledger.bulk import Registration
from certledger.db.base_db import BaseDB
from certledger.ledger import Ledger
from certledger.testing.backend import Backend
from certledger.testing.clock import FakeClock
from certledger.testing.issue import Issue
from certledger.testing.rules import covers
from certledger.testing.suite import State, Suite
from certledger.testing.told import lines

BATCH = 1_000
"""How many events a sweep commits at once."""


class Deleting(Suite):
    """Deleting rows, and the sweep that expires them."""

    @covers("delete.row")
    def test_a_deleted_certificate_is_gone_from_the_table(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        handler.register_cert_in_db(issue(serial=1), "u")
        assert handler.delete_by_uuid("u") is True
        assert handler.get_by_serial(1) is None
        assert handler.list_all() == []

    @covers("delete.row")
    def test_a_deleted_certificate_stays_in_the_log(
        self, handler: BaseDB, issue: Issue, ledger: Ledger
    ) -> None:
        handler.register_cert_in_db(issue(serial=1), "u")
        handler.delete_by_uuid("u")
        names = [event.type.split(".")[-2] for event in ledger.history(1)]
        assert names == ["issued", "deleted"]

    @covers("delete.missing")
    def test_a_uuid_that_is_not_there_deletes_nothing(self, handler: BaseDB, issue: Issue) -> None:
        handler.register_cert_in_db(issue(), "u")
        for other in ("v", "U", "u ", "ú"):
            assert handler.delete_by_uuid(other) is False
        assert handler.delete_by_uuid("u") is True
        assert handler.delete_by_uuid("u") is False

    @covers("delete.none_or_empty", "log.refusal")
    def test_no_uuid_deletes_nothing_although_many_have_none(
        self, handler: BaseDB, issue: Issue, state: State, log: pytest.LogCaptureFixture
    ) -> None:
        handler.register_cert_in_db(issue(), None)
        handler.register_cert_in_db(issue(), None)
        before = state()
        nothing: Any
        for nothing in (None, ""):
            log.clear()
            assert handler.delete_by_uuid(nothing) is False
            assert len(lines(log, logging.WARNING)) == 1
        assert state() == before

    @covers("sweep.rows")
    def test_the_sweep_expires_every_valid_certificate_past_its_end(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        for serial, ends in ((1, -1), (2, -0.001), (3, 1), (4, -2)):
            handler.register_cert_in_db(issue(serial=serial, starts=-9, ends=ends), None)
        handler.revoke_certificate(4)
        assert handler.update_status_expired() == 2
        statuses = {record.serial_number: record.status for record in handler.list_all()}
        assert statuses == {"1": "expired", "2": "expired", "3": "valid", "4": "revoked"}
        assert handler.update_status_expired() == 0

    @covers("sweep.rows")
    def test_a_certificate_at_its_very_end_is_not_yet_expired(
        self, handler: BaseDB, issue: Issue, time: FakeClock
    ) -> None:
        time.now = time.now.replace(microsecond=0)
        handler.register_cert_in_db(issue(ends=0), None)
        assert handler.update_status_expired() == 0
        time.step(microseconds=1)
        assert handler.update_status_expired() == 1

    @covers("sweep.nothing_due")
    def test_a_sweep_with_nothing_due_needs_no_write_lock(
        self, handler: BaseDB, issue: Issue, backend: Backend, url: str
    ) -> None:
        handler.register_cert_in_db(issue(), None)
        with backend.locked(url):
            assert handler.update_status_expired() == 0

    @covers("sweep.later_batch", "log.change")
    def test_a_sweep_that_fails_later_tells_what_was_committed(
        self,
        handler: BaseDB,
        issue: Issue,
        ledger: Ledger,
        backend: Backend,
        url: str,
        log: pytest.LogCaptureFixture,
    ) -> None:
        """The certificate that ends last is in the second batch, which the table refuses."""
        handler.register_cert_in_db(issue(serial=5, starts=-9, ends=-3), None)
        registrations = [
            Registration(issue(serial=serial, starts=-9, ends=-4), f"{serial}")
            for serial in range(100, 100 + BATCH)
        ]
        assert all(outcome.event for outcome in ledger.issue_many(registrations))
        backend.refuse_expiry(url, 5)
        log.clear()
        assert handler.update_status_expired() == BATCH
        assert lines(log, logging.INFO) == [f"noted {BATCH} certificates as expired"]
        (failure,) = lines(log, logging.ERROR)
        assert "stop" in failure
