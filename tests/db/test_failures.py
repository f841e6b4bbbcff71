"""What callers are told, and what is logged, when the database does not do its part."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import certledger
from certledger.db import RevokeStatus, SyncDBHandler
from certledger.errors import (
    DuplicateSerial,
    DuplicateUuid,
    IllegalTransition,
    InvalidValue,
    LedgerError,
    StorageError,
    StorageUnavailable,
    UnknownSerial,
)
from tests.support.certificates import make_certificate
from tests.support.contract import covers
from tests.support.facade import Issue, lines

Call = Callable[[SyncDBHandler], Any]

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


@pytest.fixture
def locked(
    impatient: SyncDBHandler, issue: Issue, hold_lock: Callable[[], sqlite3.Connection]
) -> SyncDBHandler:
    """A handler whose database another connection has locked for writing, with one due."""
    impatient.register_cert_in_db(issue(serial=2, starts=-9, ends=-1), "due")
    hold_lock()
    return impatient


@pytest.fixture
def shut(impatient: SyncDBHandler, file: Path) -> Iterator[SyncDBHandler]:
    """A handler whose database another connection has for itself: it cannot even be read."""
    impatient.revoke_certificate(1)
    impatient.close()
    with sqlite3.connect(file) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("CREATE TABLE taken (x)")
        yield impatient
    other.close()


def assert_failure_logged(log: pytest.LogCaptureFixture) -> None:
    (record,) = [record for record in log.records if record.levelno >= logging.WARNING]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], StorageError)


@covers("fail.locked", "log.failure", "revoke.failure", "register.failure", "sweep.error")
@pytest.mark.parametrize("call", WRITES)
def test_a_write_on_a_locked_database_fails_as_the_contract_says(
    locked: SyncDBHandler, log: pytest.LogCaptureFixture, call: str
) -> None:
    work, answer = WRITES[call]
    log.clear()
    assert work(locked) == answer
    assert_failure_logged(log)
    assert "locked" in log.text
    assert locked._ledger.head().size == 2


@covers("fail.locked")
@pytest.mark.parametrize("call", READS)
def test_a_database_locked_for_writing_can_be_read(locked: SyncDBHandler, call: str) -> None:
    work, failed = READS[call]
    assert work(locked) != failed


@covers("fail.locked", "log.failure")
@pytest.mark.parametrize("call", READS | WRITES)
def test_a_database_that_is_shut_fails_as_the_contract_says(
    shut: SyncDBHandler, log: pytest.LogCaptureFixture, call: str
) -> None:
    work, answer = (READS | WRITES)[call]
    log.clear()
    assert work(shut) == answer
    assert_failure_logged(log)


@covers("fail.broken", "log.failure")
@pytest.mark.parametrize("call", READS | WRITES)
def test_a_broken_database_fails_as_the_contract_says(
    broken: SyncDBHandler, log: pytest.LogCaptureFixture, call: str
) -> None:
    work, answer = (READS | WRITES)[call]
    if call == "revoke":
        answer = (False, RevokeStatus.NOT_FOUND)  # decided on the log, which has no serial 1
    log.clear()
    assert work(broken) == answer
    if call not in {"revoke", "delete"}:
        assert_failure_logged(log)


@covers("revoked.raises", "log.failure")
@pytest.mark.parametrize("state", ["broken", "shut"])
@pytest.mark.parametrize("raise_errors", [False, True])
def test_the_list_for_a_crl_raises_and_is_not_empty(
    state: str, raise_errors: bool, log: pytest.LogCaptureFixture, request: Any
) -> None:
    failing: SyncDBHandler = request.getfixturevalue(state)
    handler = SyncDBHandler.over(_ledger_of(failing), raise_errors=raise_errors)
    log.clear()
    with pytest.raises(StorageUnavailable):
        list(handler.get_revoked_certificates())
    assert_failure_logged(log)


def _ledger_of(handler: SyncDBHandler) -> certledger.Ledger:
    return handler._ledger


@covers("fail.raise_errors")
@pytest.mark.parametrize("call", READS | WRITES)
def test_a_handler_told_to_raise_raises_when_the_database_fails(
    shut: SyncDBHandler, log: pytest.LogCaptureFixture, call: str
) -> None:
    handler = SyncDBHandler.over(shut._ledger, raise_errors=True)
    with pytest.raises(StorageUnavailable):
        (READS | WRITES)[call][0](handler)
    assert_failure_logged(log)


@covers("fail.raise_errors")
@pytest.mark.parametrize(
    ("work", "error"),
    [
        (lambda h: h.register_cert_in_db(make_certificate(serial=1), None), DuplicateSerial),
        (lambda h: h.register_cert_in_db(make_certificate(), "one"), DuplicateUuid),
        (lambda h: h.register_cert_in_db(make_certificate(), ""), InvalidValue),
        (lambda h: h.register_cert_in_db(make_certificate(None), None), IndexError),
        (lambda h: h.list_all(status="lost"), InvalidValue),
        (lambda h: h.revoke_certificate(404), UnknownSerial),
        (lambda h: [h.revoke_certificate(1), h.revoke_certificate(1)], IllegalTransition),
        (lambda h: h.revoke_certificate(1, 8), InvalidValue),
        (lambda h: h.delete_by_uuid("other"), UnknownSerial),
        (lambda h: h.delete_by_uuid(None), InvalidValue),
        (lambda h: h.delete_by_uuid(""), InvalidValue),
    ],
)
def test_a_handler_told_to_raise_raises_refusals_too(
    impatient: SyncDBHandler, work: Call, error: type[Exception]
) -> None:
    handler = SyncDBHandler.over(impatient._ledger, raise_errors=True)
    with pytest.raises(error):
        work(handler)


@covers("fail.raise_errors")
def test_what_is_missing_is_none_even_for_a_handler_told_to_raise(
    impatient: SyncDBHandler,
) -> None:
    handler = SyncDBHandler.over(impatient._ledger, raise_errors=True)
    assert handler.get_by_serial(404) is None
    assert handler.get_by_name("nobody") is None


@covers("fail.raise_errors", "fail.broken")
@pytest.mark.parametrize("raise_errors", [False, True])
def test_a_delete_that_a_callers_constraint_forbids_changes_nothing(
    url: str, file: Path, raise_errors: bool
) -> None:
    with SyncDBHandler(url, raise_errors=raise_errors) as handler:
        handler.register_cert_in_db(make_certificate(serial=1), "u")
        with handler._db._engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE bill (certificate INTEGER REFERENCES certificates (id))"
            )
            connection.exec_driver_sql("INSERT INTO bill VALUES (1)")
        if raise_errors:
            with pytest.raises(LedgerError, match="FOREIGN KEY"):
                handler.delete_by_uuid("u")
        else:
            assert handler.delete_by_uuid("u") is False
        assert handler.get_by_serial(1) is not None
        assert handler._ledger.head().size == 1


@covers("log.change")
def test_every_change_is_logged_as_info(
    handler: SyncDBHandler, issue: Issue, log: pytest.LogCaptureFixture
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
    handler: SyncDBHandler, issue: Issue, log: pytest.LogCaptureFixture
) -> None:
    handler.revoke_certificate(5)
    handler.delete_by_uuid("nobody")
    with pytest.raises(IndexError):
        handler.register_cert_in_db(issue(None), "u")
    assert [record.levelno for record in log.records] == [logging.WARNING] * 3
    assert lines(log, logging.WARNING)[0] == (
        "revoking serial 5, reason <ReasonFlags.unspecified: 'unspecified'> was refused: "
        "serial 5 is not in the registry"
    )


@covers("log.default")
def test_a_logger_that_is_given_gets_the_lines(
    url: str, issue: Issue, log: pytest.LogCaptureFixture
) -> None:
    mine = logging.getLogger("application")
    with SyncDBHandler(url, mine) as handler:
        assert handler._logger is mine
        with log.at_level(logging.INFO, logger="application"):
            handler.register_cert_in_db(issue(), None)
    assert {record.name for record in log.records} == {"application"}
    with SyncDBHandler(url) as handler:
        assert handler._logger is certledger.DEFAULT_LOGGER


@covers("log.silent")
def test_nothing_is_printed_unless_the_application_asks(url: str) -> None:
    """A process of its own, as pytest's log handlers would hide Python's last resort."""
    script = f"""
from certledger.db import SyncDBHandler
handler = SyncDBHandler({url!r})
print(handler.delete_by_uuid("nobody"), handler.register_cert_in_db(None, "u"))
with handler._db._engine.begin() as connection:
    connection.exec_driver_sql("DROP TABLE certificates")
print(handler.list_all())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("False False\n[]\n", "")
