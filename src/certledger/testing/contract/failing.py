"""What callers are told, and what is logged, when the database does not do its part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from certledger.db.base_db import BaseDB
from certledger.db.const import RevokeStatus
from certledger.errors import (
    ConstraintFailed,
    DuplicateSerial,
    DuplicateUuid,
    IllegalTransition,
    InvalidValue,
    StorageError,
    StorageUnavailable,
    UnknownSerial,
)
from certledger.ledger import Ledger
from certledger.testing.backend import Backend, Opened
from certledger.testing.certificates import make_certificate
from certledger.testing.issue import Issue
from certledger.testing.rules import covers
from certledger.testing.suite import Open, State, Suite
from certledger.testing.told import lines, record_of

Call = Callable[[BaseDB], Any]

READS: dict[str, tuple[Call, Any]] = {
    "get_by_serial": (lambda handler: handler.get_by_serial(1), None),
    "get_by_name": (lambda handler: handler.get_by_name("one"), None),
    "list_all": (lambda handler: handler.list_all(), []),
    "get_expiring": (lambda handler: handler.get_expiring(100), []),
}
WRITES: dict[str, tuple[Call, Any]] = {
    "register": (lambda handler: handler.register_cert_in_db(make_certificate(), None), False),
    "revoke": (
        lambda handler: handler.revoke_certificate(1),
        (False, RevokeStatus.UNKNOWN_ERROR),
    ),
    "delete": (lambda handler: handler.delete_by_uuid("one"), False),
    "sweep": (lambda handler: handler.update_status_expired(), 0),
}
"""What is called, and what the contract has where that fails."""

EIGHT: Any = 8
"""removeFromCRL, which is no reason to revoke."""
REFUSALS: list[tuple[Call, type[Exception]]] = [
    (lambda h: h.register_cert_in_db(make_certificate(serial=1), None), DuplicateSerial),
    (lambda h: h.register_cert_in_db(make_certificate(), "one"), DuplicateUuid),
    (lambda h: h.register_cert_in_db(make_certificate(), ""), InvalidValue),
    (lambda h: h.register_cert_in_db(make_certificate(None), None), IndexError),
    (lambda h: h.list_all(status="lost"), InvalidValue),
    (lambda h: h.revoke_certificate(404), UnknownSerial),
    (lambda h: h.revoke_certificate(2), IllegalTransition),
    (lambda h: h.revoke_certificate(1, EIGHT), InvalidValue),
    (lambda h: h.delete_by_uuid("other"), UnknownSerial),
    (lambda h: h.delete_by_uuid(None), InvalidValue),
    (lambda h: h.delete_by_uuid(""), InvalidValue),
]


@contextmanager
def one_failure(log: pytest.LogCaptureFixture) -> Iterator[None]:
    """One failure is logged meanwhile, as an error with its exception, and nothing else."""
    log.clear()
    yield
    (record,) = [record for record in log.records if record.levelno >= logging.WARNING]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], StorageError)
    log.clear()


class Failing(Suite):
    """Databases that are locked, broken or not there, and what is logged of everything."""

    @pytest.fixture
    def impatient(self, open_again: Open, issue: Issue) -> Opened:
        """A handler that gives up soon: serial 1 is valid, 2 revoked, 3 due for the sweep."""
        opened = open_again(retry_seconds=0.1)
        fill(opened.handler, issue)
        return opened

    @covers("fail.locked", "log.failure", "revoke.failure", "register.failure", "sweep.error")
    def test_a_write_on_a_locked_database_fails_as_the_contract_says(
        self,
        backend: Backend,
        url: str,
        impatient: Opened,
        log: pytest.LogCaptureFixture,
    ) -> None:
        before = [tuple(row) for row in impatient.handler.get_revoked_certificates()]
        with backend.locked(url):
            for work, answer in WRITES.values():
                with one_failure(log):
                    assert work(impatient.handler) == answer
        assert len(impatient.handler.list_all(status="valid")) == 2
        assert [tuple(row) for row in impatient.handler.get_revoked_certificates()] == before

    @covers("fail.locked")
    def test_a_database_locked_for_writing_can_be_read(
        self, backend: Backend, url: str, impatient: Opened
    ) -> None:
        with backend.locked(url):
            for work, failed in READS.values():
                assert work(impatient.handler) != failed

    @pytest.mark.parametrize("raise_errors", [False, True], ids=["swallows", "raises"])
    @covers("fail.locked", "log.failure", "revoked.raises", "fail.raise_errors")
    def test_a_database_that_cannot_be_reached_fails_as_the_contract_says(
        self,
        backend: Backend,
        url: str,
        issue: Issue,
        open_again: Open,
        log: pytest.LogCaptureFixture,
        raise_errors: bool,
    ) -> None:
        with backend.cut_off(url) as way:
            opened = open_again(way.url, retry_seconds=0.1, raise_errors=raise_errors)
            fill(opened.handler, issue)
            opened.disconnect()
            way.close()
            for work, answer in (READS | WRITES).values():
                with one_failure(log):
                    if raise_errors:
                        with pytest.raises(StorageUnavailable):
                            work(opened.handler)
                    else:
                        assert work(opened.handler) == answer
            # An empty list would become an empty CRL, signed and published.
            with one_failure(log), pytest.raises(StorageUnavailable):
                list(opened.handler.get_revoked_certificates())

    @covers("fail.broken", "log.failure", "revoked.raises")
    def test_a_broken_database_fails_as_the_contract_says(
        self,
        backend: Backend,
        url: str,
        handler: BaseDB,
        issue: Issue,
        log: pytest.LogCaptureFixture,
    ) -> None:
        fill(handler, issue)
        with backend.stranger(url) as stranger:
            stranger.exec_driver_sql("DROP TABLE certificates")
        for work, answer in (READS | WRITES).values():
            with one_failure(log):
                assert work(handler) == answer
        with one_failure(log), pytest.raises(StorageError):
            list(handler.get_revoked_certificates())

    @covers("fail.raise_errors")
    def test_a_handler_told_to_raise_raises_refusals_too(
        self, open_again: Open, issue: Issue
    ) -> None:
        handler = open_again(raise_errors=True).handler
        fill(handler, issue)
        for work, error in REFUSALS:
            with pytest.raises(error):
                work(handler)

    @covers("fail.raise_errors")
    def test_what_is_missing_is_none_even_for_a_handler_told_to_raise(
        self, open_again: Open
    ) -> None:
        handler = open_again(raise_errors=True).handler
        assert handler.get_by_serial(404) is None
        assert handler.get_by_name("nobody") is None

    @covers("fail.raise_errors", "fail.broken")
    @pytest.mark.parametrize("raise_errors", [False, True], ids=["swallows", "raises"])
    def test_a_delete_that_a_callers_constraint_forbids_changes_nothing(
        self, backend: Backend, url: str, issue: Issue, open_again: Open, raise_errors: bool
    ) -> None:
        backend.require_shared()
        opened = open_again(raise_errors=raise_errors)
        opened.handler.register_cert_in_db(issue(serial=1), "u")
        row = record_of(opened.handler, 1).id
        with backend.stranger(url) as stranger:
            stranger.exec_driver_sql(
                "CREATE TABLE bill (certificate BIGINT NOT NULL, "
                "FOREIGN KEY (certificate) REFERENCES certificates (id))"
            )
            stranger.exec_driver_sql(f"INSERT INTO bill VALUES ({row})")
        if raise_errors:
            with pytest.raises(ConstraintFailed):
                opened.handler.delete_by_uuid("u")
        else:
            assert opened.handler.delete_by_uuid("u") is False
        assert record_of(opened.handler, 1).uuid == "u"
        assert opened.ledger is None or opened.ledger.head().size == 1

    @covers("log.change")
    def test_every_change_is_logged_as_info(
        self, handler: BaseDB, issue: Issue, ledger: Ledger, log: pytest.LogCaptureFixture
    ) -> None:
        handler.register_cert_in_db(issue("na\nme", serial=1), "u")
        handler.register_cert_in_db(issue(serial=2, starts=-9, ends=-1), None)
        handler.revoke_certificate(1)
        handler.delete_by_uuid("u")
        handler.update_status_expired()
        handler.update_status_expired()
        assert lines(log, logging.INFO) == [
            "registered serial 1, CN 'na\\nme', uuid 'u' (entry 0)",
            "registered serial 2, CN 'device.example.org', uuid None (entry 1)",
            "revoked serial 1, reason unspecified (entry 2)",
            "deleted serial 1, uuid 'u' (entry 3)",
            "noted 1 certificates as expired",
        ]
        assert len(log.records) == 5

    @covers("log.refusal")
    def test_every_refusal_is_logged_as_a_warning(
        self, handler: BaseDB, issue: Issue, state: State, log: pytest.LogCaptureFixture
    ) -> None:
        before = state()
        handler.revoke_certificate(5)
        handler.delete_by_uuid("nobody")
        with pytest.raises(IndexError):
            handler.register_cert_in_db(issue(None), "u")
        assert [record.levelno for record in log.records] == [logging.WARNING] * 3
        assert "serial 5" in lines(log, logging.WARNING)[0]
        assert state() == before


def fill(handler: BaseDB, issue: Issue) -> None:
    """Serial 1 is valid, 2 is revoked, 3 is due for the sweep."""
    assert handler.register_cert_in_db(issue("one", serial=1), "one")
    assert handler.register_cert_in_db(issue("two", serial=2), "two")
    assert handler.register_cert_in_db(issue("three", serial=3, starts=-9, ends=-1), "three")
    assert handler.revoke_certificate(2) == (True, RevokeStatus.OK)
