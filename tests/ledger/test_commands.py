"""Each command: what it records, who and why, and what refuses it without a trace."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import ReasonFlags

from certledger.bulk import Registration
from certledger.errors import (
    ClockBehindLog,
    DuplicateSerial,
    DuplicateUuid,
    EntryTooLarge,
    IllegalTransition,
    InvalidCertificate,
    InvalidEvent,
    InvalidValue,
    LedgerError,
    UnknownSerial,
)
from certledger.eventstore.actor import acting_as
from certledger.eventstore.events import Deleted, Expired, Issued, Revoked
from certledger.ledger import Ledger
from certledger.testing.certificates import der, make_ca, make_certificate, pem
from certledger.testing.clock import FakeClock
from tests.support import raw

ONE = make_certificate("one.example.org", serial=1)
TWO = make_certificate("two.example.org", serial=2)
OTHER_ONE = make_certificate("other.example.org", serial=1)
PAST = make_certificate(
    serial=3, start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2020, 2, 1, tzinfo=UTC)
)


@pytest.fixture
def registry(ledger: Ledger, clock: FakeClock) -> Ledger:
    """A registry with one valid certificate."""
    ledger.issue(ONE, uuid="one")
    clock.step(minutes=1)
    return ledger


def _file(ledger: Ledger) -> Path:
    assert ledger.file is not None
    return ledger.file


def everything(ledger: Ledger) -> dict[str, list[raw.Row]]:
    """All that the registry's tables hold."""
    file = _file(ledger)
    return raw.log_of(file) | {
        "certificates": raw.rows(file, "SELECT * FROM certificates ORDER BY id"),
        "retired": raw.rows(file, "SELECT * FROM retired ORDER BY seq"),
    }


# What is recorded


@pytest.mark.parametrize("given", [ONE, pem(ONE), pem(ONE).decode(), der(ONE)])
def test_issuing_records_what_the_certificate_says(
    ledger: Ledger, clock: FakeClock, given: Any
) -> None:
    event = ledger.issue(given, key_type="user", uuid="folder")
    data = event.data
    assert isinstance(data, Issued)
    assert (event.seq, event.streamversion, event.subject) == (0, 0, "certificate/1")
    assert event.type == "certledger.certificate.issued.v1"
    assert event.time == event.recordedtime == clock.now
    assert (data.serial_number, data.common_name) == ("1", "one.example.org")
    assert (data.key_type, data.uuid) == ("user", "folder")
    assert data.not_valid_after == ONE.not_valid_after_utc
    assert data.issuer == make_ca().certificate.subject.rfc4514_string()
    assert data.certificate_pem == pem(ONE).decode()
    record = ledger.get(1)
    assert (record.id, record.status, record.uuid) == (1, "valid", "folder")


@pytest.mark.parametrize(
    "reason", [ReasonFlags.key_compromise, "keyCompromise", "KEYCOMPROMISE", 1]
)
def test_revoking_records_reason_and_dates(
    registry: Ledger, clock: FakeClock, reason: ReasonFlags | str | int
) -> None:
    hour = timedelta(hours=1)
    event = registry.revoke(
        1,
        reason,
        revocation_date=clock.now - hour,
        invalidity_date=clock.now - 9 * hour,
        requested_at=clock.now - 2 * hour,
    )
    data = event.data
    assert isinstance(data, Revoked)
    assert (data.reason, data.reason_code) == ("keyCompromise", 1)
    assert event.time == data.revocation_date == clock.now - hour
    assert event.recordedtime == clock.now
    assert data.invalidity_date == clock.now - 9 * hour
    assert data.requested_at == clock.now - 2 * hour
    record = registry.get(1)
    assert (record.status, record.revocation_reason) == ("revoked", 1)
    assert record.revocation_date == (clock.now - hour).replace(tzinfo=None)


def test_a_hold_records_its_instruction(registry: Ledger) -> None:
    event = registry.revoke(1, "certificateHold", hold_instruction="1.2.840.10040.2.2")
    assert isinstance(event.data, Revoked)
    assert event.data.hold_instruction == "1.2.840.10040.2.2"
    assert registry.get(1).revocation_reason == 6


def test_a_revocation_without_date_and_reason_is_unspecified_and_of_now(
    registry: Ledger, clock: FakeClock
) -> None:
    event = registry.revoke(1)
    assert isinstance(event.data, Revoked)
    assert (event.data.reason, event.data.reason_code) == ("unspecified", 0)
    assert event.data.revocation_date == event.time == clock.now


def test_a_sweep_expires_those_past_their_end(registry: Ledger, clock: FakeClock) -> None:
    clock.now = ONE.not_valid_after_utc
    assert registry.expire_due() == 0, "the last instant is within the validity"
    clock.step(microseconds=1)
    assert registry.expire_due() == 1
    event = registry.history(1)[-1]
    assert isinstance(event.data, Expired)
    assert event.time == event.data.not_valid_after == ONE.not_valid_after_utc
    assert event.recordedtime == clock.now
    assert registry.get(1).status == "expired"
    assert registry.expire_due() == 0


@pytest.mark.parametrize("by", [{"serial": 1}, {"uuid": "one"}])
def test_deleting_removes_the_row_and_keeps_the_history(
    registry: Ledger, clock: FakeClock, by: dict[str, Any]
) -> None:
    event = registry.delete(**by)
    assert isinstance(event.data, Deleted)
    assert (event.data.serial_number, event.data.uuid) == ("1", "one")
    assert event.time == event.recordedtime == clock.now
    with pytest.raises(UnknownSerial, match="serial 1 is not in the registry"):
        registry.get(1)
    assert [e.type.split(".")[2] for e in registry.history(1)] == ["issued", "deleted"]
    assert registry.status().retired == 1


def test_a_deleted_certificate_can_be_registered_again_with_its_uuid(registry: Ledger) -> None:
    registry.delete(1)
    event = registry.issue(OTHER_ONE, uuid="one")
    assert (event.seq, event.streamversion) == (2, 2)
    assert registry.get(1).common_name == "other.example.org"
    assert registry.get(1).id == 3


def test_a_certificate_revoked_and_deleted_is_back_only_after_its_end(
    registry: Ledger, clock: FakeClock
) -> None:
    registry.revoke(1)
    registry.delete(1)
    with pytest.raises(IllegalTransition, match="it was revoked and is within its validity until"):
        registry.issue(ONE)
    clock.now = ONE.not_valid_after_utc + timedelta(seconds=1)
    assert registry.issue(ONE).seq == 3


def test_late_knowledge_revokes_an_expired_certificate(registry: Ledger, clock: FakeClock) -> None:
    clock.now = ONE.not_valid_after_utc + timedelta(days=1)
    registry.expire_due()
    with pytest.raises(IllegalTransition, match="serial 1 is expired: it cannot be revoked"):
        registry.revoke(1)
    registry.revoke(1, after_expiry=True)
    assert registry.get(1).status == "revoked"


def test_ids_of_rows_are_the_position_of_their_event_plus_one(registry: Ledger) -> None:
    registry.revoke(1)
    assert registry.issue(TWO).seq == 2
    assert registry.get(2).id == 3


# Refusals


def _revoked(ledger: Ledger) -> None:
    ledger.revoke(1)


def _deleted(ledger: Ledger) -> None:
    ledger.delete(1)


def _expired(ledger: Ledger) -> None:
    ledger.issue(PAST)
    assert ledger.expire_due() == 1


def _nothing(_ledger: Ledger) -> None:
    """The certificate is valid."""


def _tomorrow() -> datetime:
    return datetime.now().astimezone() + timedelta(days=1)


Do = Callable[[Ledger], Any]
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 # refused for that

REFUSED: dict[str, tuple[Do, Do, type[LedgerError], str]] = {
    "the same certificate": (_nothing, lambda r: r.issue(ONE), DuplicateSerial, "this very"),
    "the same, revoked": (_revoked, lambda r: r.issue(ONE), DuplicateSerial, "this very"),
    "its serial": (_nothing, lambda r: r.issue(OTHER_ONE), DuplicateSerial, "by another"),
    "its uuid": (_nothing, lambda r: r.issue(TWO, uuid="one"), DuplicateUuid, "serial 1"),
    "its uuid, revoked": (_revoked, lambda r: r.issue(TWO, uuid="one"), DuplicateUuid, "'one'"),
    "no certificate": (_nothing, lambda r: r.issue(b"junk"), InvalidCertificate, "not a cert"),
    "no text": (_nothing, lambda r: r.issue(""), InvalidCertificate, "not a certificate"),
    "no key type": (_nothing, lambda r: r.issue(TWO, key_type="robot"), InvalidValue, "device"),
    "empty uuid": (_nothing, lambda r: r.issue(TWO, uuid=""), InvalidValue, "uuid: "),
    "long uuid": (_nothing, lambda r: r.issue(TWO, uuid="x" * 256), InvalidValue, "uuid: "),
    "revoke unknown": (_nothing, lambda r: r.revoke(2), UnknownSerial, "serial 2 is not in"),
    "revoke deleted": (_deleted, lambda r: r.revoke(1), UnknownSerial, "serial 1 is not in"),
    "revoke revoked": (_revoked, lambda r: r.revoke(1), IllegalTransition, "1 is revoked"),
    "revoke expired": (_expired, lambda r: r.revoke(3), IllegalTransition, "3 is expired"),
    "no reason": (_nothing, lambda r: r.revoke(1, "because"), InvalidValue, "because"),
    "removal": (_nothing, lambda r: r.revoke(1, "removeFromCRL"), InvalidValue, "removeFromCRL"),
    "reason 7": (_nothing, lambda r: r.revoke(1, 7), InvalidValue, "7"),
    "future": (
        _nothing,
        lambda r: r.revoke(1, revocation_date=_tomorrow()),
        InvalidValue,
        "lies in the future",
    ),
    "future request": (
        _nothing,
        lambda r: r.revoke(1, requested_at=_tomorrow()),
        InvalidValue,
        "lies in the future",
    ),
    "no OID": (
        _nothing,
        lambda r: r.revoke(1, "certificateHold", hold_instruction="call us"),
        InvalidValue,
        "hold_instruction",
    ),
    "delete unknown": (_nothing, lambda r: r.delete(2), UnknownSerial, "serial 2 is not in"),
    "delete deleted": (_deleted, lambda r: r.delete(1), UnknownSerial, "serial 1 is not in"),
    "delete no uuid": (_nothing, lambda r: r.delete(uuid="two"), UnknownSerial, "uuid 'two'"),
    "delete old uuid": (_deleted, lambda r: r.delete(uuid="one"), UnknownSerial, "uuid 'one'"),
    "delete empty uuid": (_nothing, lambda r: r.delete(uuid=""), UnknownSerial, "uuid ''"),
    "delete nothing": (_nothing, lambda r: r.delete(), InvalidValue, "serial number or by its"),
    "delete both": (_nothing, lambda r: r.delete(1, uuid="one"), InvalidValue, "or by its uuid"),
    "naive date": (_nothing, lambda r: r.revoke(1, revocation_date=NAIVE), InvalidValue, "zone"),
    "naive request": (_nothing, lambda r: r.revoke(1, requested_at=NAIVE), InvalidValue, "zone"),
    "naive invalidity": (
        _nothing,
        lambda r: r.revoke(1, invalidity_date=NAIVE),
        InvalidValue,
        "zone",
    ),
}


@pytest.mark.parametrize(("before", "do", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_a_refused_command_says_why_and_changes_nothing(
    ledger: Ledger, before: Do, do: Do, error: type[LedgerError], match: str
) -> None:
    ledger.issue(ONE, uuid="one")
    before(ledger)
    unchanged = everything(ledger)
    with pytest.raises(error, match=match) as caught:
        do(ledger)
    assert type(caught.value) in {error, InvalidEvent}
    assert everything(ledger) == unchanged
    assert list(ledger.drift()) == []


def test_a_refusal_tells_what_it_knows_as_attributes(registry: Ledger) -> None:
    with pytest.raises(DuplicateSerial) as same:
        registry.issue(ONE)
    assert (same.value.serial, same.value.same_certificate) == (1, True)
    with pytest.raises(DuplicateSerial) as other:
        registry.issue(OTHER_ONE)
    assert (other.value.serial, other.value.same_certificate) == (1, False)
    assert "one.example.org" in str(other.value)
    assert "other.example.org" in str(other.value)
    with pytest.raises(DuplicateUuid) as uuid:
        registry.issue(TWO, uuid="one")
    assert (uuid.value.uuid, uuid.value.serial) == ("one", 1)
    registry.revoke(1)
    with pytest.raises(IllegalTransition) as state:
        registry.revoke(1)
    assert (state.value.serial, state.value.state, state.value.change) == (1, "revoked", "revoked")


def test_an_entry_that_is_too_large_is_refused(registry: Ledger) -> None:
    unchanged = everything(registry)
    with acting_as("alice", comment="x" * 65_000), pytest.raises(EntryTooLarge) as caught:
        registry.issue(TWO)
    assert caught.value.size > caught.value.limit == 65_535
    with acting_as("alice", comment="x" * 65_535), pytest.raises(EntryTooLarge):
        registry.revoke(1)
    assert everything(registry) == unchanged


def test_a_clock_two_days_behind_the_log_stops_every_command_unless_allowed(
    registry: Ledger, clock: FakeClock
) -> None:
    clock.step(days=-2)
    unchanged = everything(registry)
    commands: list[Do] = [
        lambda r: r.issue(TWO),
        lambda r: r.revoke(1),
        lambda r: r.delete(1),
        lambda r: list(r.issue_many([Registration(TWO)])),
    ]
    for command in commands:
        with pytest.raises(ClockBehindLog, match="set the clock"):
            command(registry)
    assert everything(registry) == unchanged
    with Ledger(registry.url, clock=clock, allow_clock_behind=True) as allowed:
        event = allowed.revoke(1)
    assert event.clocktime == clock.now
    assert event.recordedtime == registry.history(1)[0].recordedtime


def test_a_clock_a_minute_behind_is_noted(registry: Ledger, clock: FakeClock) -> None:
    clock.step(minutes=-2)
    event = registry.revoke(1)
    assert event.clocktime == clock.now
    assert isinstance(event.data, Revoked)
    assert event.data.revocation_date == event.recordedtime > clock.now


# Who and why


def test_every_command_records_who_and_why(registry: Ledger, clock: FakeClock) -> None:
    with acting_as(
        "alice@example.org",
        authtype="app_user",
        comment="CHG-1234:\nrotation",
        correlation_id="chg-1234",
        causation_id="mail/9",
    ):
        events = [registry.issue(TWO, uuid="two"), registry.revoke(1), registry.delete(1)]
        clock.now = TWO.not_valid_after_utc + timedelta(days=1)
        assert registry.expire_due() == 1
        (outcome,) = registry.issue_many([Registration(make_certificate(serial=9))])
        assert outcome.event is not None
    events += [registry.history(2)[-1], outcome.event]
    assert events == list(registry.events(since=1))
    for event in events:
        assert (event.authid, event.authtype) == ("alice@example.org", "app_user")
        assert event.data.comment == "CHG-1234:\nrotation"
        assert (event.correlationid, event.causationid) == ("chg-1234", "mail/9")


def test_without_a_name_the_user_of_the_process_acts(registry: Ledger) -> None:
    event = registry.revoke(1)
    assert (event.authid, event.authtype) == (getpass.getuser(), "user")
    assert (event.correlationid, event.causationid, event.data.comment) == (None, None, None)


def test_the_actor_of_many_is_the_one_who_asked_not_the_one_who_reads(ledger: Ledger) -> None:
    with acting_as("alice"):
        outcomes = ledger.issue_many([Registration(ONE), Registration(TWO)])
    with acting_as("bob"):
        assert len(list(outcomes)) == 2
    assert [event.authid for event in ledger.events()] == ["alice", "alice"]


def test_a_thread_acts_for_whom_its_context_names(registry: Ledger) -> None:
    with acting_as("alice"), ThreadPoolExecutor(1) as threads:
        alone = threads.submit(registry.issue, TWO).result()
        carried = threads.submit(copy_context().run, registry.revoke, 2).result()
    assert alone.authid == getpass.getuser()
    assert carried.authid == "alice"


@pytest.mark.parametrize("name", ["", "new\nline", "x" * 256, "bell\a", "\ud800"])
def test_a_name_that_cannot_be_recorded_is_refused_at_once(registry: Ledger, name: str) -> None:
    with pytest.raises(InvalidValue, match="actor"), acting_as(name):
        registry.revoke(1)
    assert registry.get(1).status == "valid"


# Injected


def test_clock_and_ids_are_the_given_ones(url: str, clock: FakeClock) -> None:
    ids = (f"00000000-0000-0000-0000-{number:012}" for number in range(9))
    with Ledger(url, clock=clock, new_id=lambda: next(ids)) as ledger:
        ledger.issue(ONE)
        clock.step(days=1)
        ledger.revoke(1)
        list(ledger.issue_many([Registration(TWO)]))
        assert ledger.now() == clock.now
        events = list(ledger.events())
    assert [int(event.id[-12:]) for event in events] == [0, 1, 2]
    assert events[1].recordedtime == clock.now


def test_warnings_go_to_the_given_logger(
    url: str, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = logging.getLogger("mine")
    with Ledger(url, logger=mine) as ledger:
        ledger.issue(ONE)
        raw.edit(file, "DELETE FROM certificates")
        ledger.revoke(1)
    assert [record.name for record in caplog.records] == ["mine"]


def test_a_command_prints_nothing(ledger: Ledger, capfd: pytest.CaptureFixture[str]) -> None:
    ledger.issue(ONE)
    raw.edit(_file(ledger), "DELETE FROM certificates")
    ledger.revoke(1)
    with pytest.raises(LedgerError):
        ledger.revoke(1)
    assert capfd.readouterr() == ("", "")
