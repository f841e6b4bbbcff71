"""`delete_by_uuid` and `update_status_expired`."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import certledger
from certledger.db import SyncDBHandler
from tests.support.contract import covers
from tests.support.facade import Issue, lines, worst


@covers("delete.row")
def test_a_deleted_certificate_is_gone_from_the_table_and_stays_in_the_log(
    handler: SyncDBHandler, issue: Issue, ledger: certledger.Ledger
) -> None:
    handler.register_cert_in_db(issue(serial=1), "u")
    assert handler.delete_by_uuid("u") is True
    assert handler.get_by_serial(1) is None
    assert handler.list_all() == []
    names = [event.type.split(".")[-2] for event in ledger.history(1)]
    assert names == ["issued", "deleted"]


@covers("delete.missing")
def test_a_uuid_that_is_not_there_deletes_nothing(handler: SyncDBHandler, issue: Issue) -> None:
    handler.register_cert_in_db(issue(), "u")
    assert handler.delete_by_uuid("v") is False
    assert handler.delete_by_uuid("u") is True
    assert handler.delete_by_uuid("u") is False


@covers("delete.none_or_empty", "log.refusal")
@pytest.mark.parametrize("nothing", [None, ""])
def test_no_uuid_deletes_nothing_although_many_have_none(
    handler: SyncDBHandler, issue: Issue, log: pytest.LogCaptureFixture, nothing: Any
) -> None:
    handler.register_cert_in_db(issue(), None)
    handler.register_cert_in_db(issue(), None)
    log.clear()
    assert handler.delete_by_uuid(nothing) is False
    assert len(handler.list_all()) == 2
    assert len(lines(log, logging.WARNING)) == 1


@covers("sweep.rows")
def test_the_sweep_expires_every_valid_certificate_past_its_end(
    handler: SyncDBHandler, issue: Issue
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
    handler: SyncDBHandler, issue: Issue
) -> None:
    issue.clock.now = issue.clock.now.replace(microsecond=0)
    handler.register_cert_in_db(issue(ends=0), None)
    assert handler.update_status_expired() == 0
    issue.clock.step(microseconds=1)
    assert handler.update_status_expired() == 1


@covers("sweep.nothing_due")
def test_a_sweep_with_nothing_due_needs_no_write_lock(
    handler: SyncDBHandler, issue: Issue, hold_lock: Callable[[], sqlite3.Connection]
) -> None:
    handler.register_cert_in_db(issue(), None)
    hold_lock()
    assert handler.update_status_expired() == 0


@covers("sweep.error")
def test_a_sweep_that_fails_is_0_and_logged(
    broken: SyncDBHandler, log: pytest.LogCaptureFixture
) -> None:
    assert broken.update_status_expired() == 0
    assert worst(log).levelno == logging.ERROR


@covers("sweep.later_batch", "log.change")
def test_a_sweep_that_fails_later_tells_what_was_committed(
    handler: SyncDBHandler, issue: Issue, log: pytest.LogCaptureFixture, file: Path
) -> None:
    """The batches have 1,000 events. A trigger stops the one of the very last certificate."""
    soon = issue(serial=5, starts=-9, ends=-3)
    registrations = [
        certledger.Registration(issue(serial=serial, starts=-9, ends=-4), f"{serial}")
        for serial in range(100, 1100)
    ]
    handler.register_cert_in_db(soon, None)
    assert all(outcome.event for outcome in handler._ledger.issue_many(registrations))
    with sqlite3.connect(file) as intruder:
        intruder.execute(
            "CREATE TRIGGER stop BEFORE UPDATE ON certificates WHEN NEW.serial_number = '5' "
            "BEGIN SELECT RAISE(ABORT, 'stopped by the test'); END"
        )
    intruder.close()
    log.clear()
    assert handler.update_status_expired() == 1000
    assert lines(log, logging.INFO) == ["noted 1000 certificates as expired"]
    (failure,) = lines(log, logging.ERROR)
    assert "stopped by the test" in failure
