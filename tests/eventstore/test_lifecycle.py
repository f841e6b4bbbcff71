"""The life of a certificate: every arrow of the diagram in `lifecycle.py`, and every refusal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from certledger.errors import (
    DuplicateSerial,
    IllegalTransition,
    InvalidValue,
    LedgerError,
    LogCorrupt,
    UnknownEventType,
    UnknownSerial,
)
from certledger.eventstore.events import CrlPublished, EventData, UnknownData
from certledger.eventstore.lifecycle import (
    PRESENT,
    Command,
    Delete,
    Expire,
    Phase,
    Revoke,
    State,
    decide,
    evolve,
    fold,
    stream_of,
)
from certledger.eventstore.reasons import CODE_BY_NAME
from tests.support.given import (
    END,
    MINUTE,
    SERIAL,
    START,
    deleted,
    event,
    expired,
    given,
    issued,
    revoked,
    stream,
)
from tests.support.strategies import commands

OTHER = "b2" * 32
"""The digest of another certificate under the same serial number."""
TICK = timedelta(microseconds=1)
LATER = END + timedelta(days=30)
REVOKE = Revoke(SERIAL, "superseded")

HISTORIES: dict[str, list[EventData]] = {
    "nothing": [],
    "valid": [issued()],
    "revoked": [issued(), revoked()],
    "expired": [issued(), expired()],
    "revoked after expiry": [issued(), expired(), revoked()],
    "deleted while valid": [issued(), deleted()],
    "deleted while revoked": [issued(), revoked(), deleted()],
    "deleted while expired": [issued(), expired(), deleted()],
    "issued again": [issued(), deleted(), issued()],
}


# Arrows


def test_a_serial_that_was_never_seen_can_be_issued() -> None:
    state = given().when_issued().then(issued())
    assert (state.phase, state.version, state.issued_seq) == (Phase.VALID, 1, 0)
    assert state.certificate == issued()


def test_a_valid_certificate_can_be_revoked() -> None:
    now = START + timedelta(days=10)
    state = (
        given(issued())
        .when(Revoke(SERIAL, "superseded"), at=now)
        .then(revoked("superseded", revocation_date=now))
    )
    assert (state.phase, state.version) == (Phase.REVOKED, 2)
    assert state.revoked == revoked("superseded", revocation_date=now)


def test_a_revocation_keeps_all_that_the_command_says() -> None:
    details: dict[str, Any] = {
        "revocation_date": START + MINUTE,
        "invalidity_date": START - MINUTE,
        "hold_instruction": "1.2.840.10040.2.3",
        "requested_at": START,
        "comment": "CHG-1",
    }
    command = Revoke(SERIAL, "certificateHold", **details)
    given(issued()).when(command).then(revoked("certificateHold", **details))


@pytest.mark.parametrize("reason", CODE_BY_NAME)
def test_every_reason_is_recorded_with_its_code(reason: str) -> None:
    data = given(issued()).when(Revoke(SERIAL, reason)).decide()
    assert data.fields()["reason"] == reason
    assert data.fields()["reason_code"] == CODE_BY_NAME[reason]


def test_a_valid_certificate_can_expire_after_its_end() -> None:
    state = given(issued()).when(Expire(SERIAL), at=END + TICK).then(expired())
    assert (state.phase, state.version) == (Phase.EXPIRED, 2)


@pytest.mark.parametrize(
    ("history", "before"),
    [("valid", Phase.VALID), ("revoked", Phase.REVOKED), ("expired", Phase.EXPIRED)],
)
def test_a_present_certificate_can_be_deleted(history: str, before: Phase) -> None:
    state = given(*HISTORIES[history]).when(Delete(SERIAL)).then(deleted())
    assert (state.phase, state.last_phase) == (Phase.DELETED, before)
    assert not state.present


def test_a_deletion_may_name_the_uuid() -> None:
    given(issued()).when(Delete(SERIAL, "folder-1", "gone")).then(deleted(comment="gone"))


def test_a_certificate_without_uuid_is_deleted_without_one() -> None:
    given(issued(uuid=None)).when(Delete(SERIAL)).then(deleted(uuid=None))


@pytest.mark.parametrize("digest", [issued().sha256, OTHER])
def test_a_serial_deleted_while_valid_can_be_issued_again(digest: str) -> None:
    state = given(issued(), deleted()).when_issued(sha256=digest).then(issued(sha256=digest))
    assert (state.phase, state.version, state.issued_seq) == (Phase.VALID, 3, 2)
    assert state.certificate.sha256 == digest


def test_a_serial_deleted_while_expired_can_be_issued_again() -> None:
    given(*HISTORIES["deleted while expired"]).when_issued(sha256=OTHER).then(issued(sha256=OTHER))


def test_a_serial_deleted_while_revoked_can_be_issued_again_past_its_end() -> None:
    gone = given(*HISTORIES["deleted while revoked"])
    state = gone.when_issued(at=END + TICK).then(issued())
    assert state.phase is Phase.VALID
    assert state.revoked is None


def test_an_expired_certificate_can_be_revoked_as_late_knowledge() -> None:
    command = Revoke(SERIAL, "keyCompromise", revocation_date=START + MINUTE, after_expiry=True)
    state = given(issued(), expired()).when(command).then(revoked(revocation_date=START + MINUTE))
    assert state.phase is Phase.REVOKED


def test_a_certificate_past_its_end_that_was_not_swept_yet_can_be_revoked() -> None:
    given(issued()).when(REVOKE, at=LATER).then(revoked("superseded", revocation_date=LATER))


def test_an_expired_certificate_may_be_registered() -> None:
    assert given().when_issued(at=LATER).then(issued()).phase is Phase.VALID


def test_a_later_life_is_not_touched_by_the_earlier_revocation() -> None:
    events = stream(*HISTORIES["deleted while revoked"])
    events.append(event(issued(), version=3, recorded=LATER))
    events.append(event(deleted(), version=4, recorded=LATER))
    assert fold(events).revoked is None
    state = decide(fold(events), given().when_issued().command, LATER)
    assert state == issued()


# Refusals


@pytest.mark.parametrize(
    "history", [name for name, events in HISTORIES.items() if fold(stream(*events)).present]
)
def test_a_present_certificate_is_not_registered_again(history: str) -> None:
    error = (
        given(*HISTORIES[history])
        .when_issued()
        .then_raises(DuplicateSerial, match="already registered with this very certificate")
    )
    assert isinstance(error, DuplicateSerial)
    assert error.same_certificate
    assert error.serial == SERIAL


def test_another_certificate_under_a_present_serial_is_refused_with_both_names() -> None:
    error = (
        given(issued())
        .when_issued(sha256=OTHER, common_name="intruder", issuer=None)
        .then_raises(
            DuplicateSerial,
            match=r"present 'device\.example\.org' \(SHA-256 a1a1.*\), refused 'intruder'"
            r" \(SHA-256 b2b2.*\)",
        )
    )
    assert isinstance(error, DuplicateSerial)
    assert not error.same_certificate


@pytest.mark.parametrize("digest", [issued().sha256, OTHER])
@pytest.mark.parametrize("now", [START + timedelta(days=10), END])
def test_deletion_does_not_end_a_revocation_within_the_validity(digest: str, now: datetime) -> None:
    gone = given(*HISTORIES["deleted while revoked"])
    error = gone.when_issued(at=now, sha256=digest).then_raises(
        IllegalTransition, match=r"deleted: it cannot be registered again; .* until 2026-04-01 00:"
    )
    assert isinstance(error, IllegalTransition)
    assert (error.serial, error.state, error.change) == (SERIAL, "deleted", "registered again")


@pytest.mark.parametrize(
    "history", ["nothing", "deleted while valid", "deleted while revoked", "deleted while expired"]
)
@pytest.mark.parametrize("command", [REVOKE, Expire(SERIAL), Delete(SERIAL)], ids=repr)
def test_what_is_not_present_cannot_change(history: str, command: Command) -> None:
    given(*HISTORIES[history]).when(command, at=LATER).then_raises(
        UnknownSerial, match=f"serial {SERIAL} is not in the registry"
    )


@pytest.mark.parametrize("after_expiry", [False, True])
@pytest.mark.parametrize("history", ["revoked", "revoked after expiry"])
def test_a_revoked_certificate_is_not_revoked_again(history: str, after_expiry: bool) -> None:
    command = Revoke(SERIAL, "keyCompromise", after_expiry=after_expiry)
    given(*HISTORIES[history]).when(command).then_raises(
        IllegalTransition, match="is revoked: it cannot be revoked"
    )


def test_an_expired_certificate_is_not_revoked_unless_asked() -> None:
    given(issued(), expired()).when(REVOKE).then_raises(
        IllegalTransition, match="is expired: it cannot be revoked"
    )


@pytest.mark.parametrize("now", [START, END - TICK, END])
def test_a_certificate_does_not_expire_before_or_at_its_end(now: datetime) -> None:
    given(issued()).when(Expire(SERIAL), at=now).then_raises(
        IllegalTransition, match="valid: it cannot be expired; it is within its validity until"
    )


@pytest.mark.parametrize("history", ["revoked", "expired", "revoked after expiry"])
def test_only_a_valid_certificate_expires(history: str) -> None:
    given(*HISTORIES[history]).when(Expire(SERIAL), at=LATER).then_raises(
        IllegalTransition, match="cannot be expired"
    )


@pytest.mark.parametrize("uuid", ["folder-2", ""])
def test_a_deletion_by_another_uuid_is_refused(uuid: str) -> None:
    given(issued()).when(Delete(SERIAL, uuid)).then_raises(UnknownSerial, match="uuid")


def test_a_deletion_by_uuid_does_not_match_a_certificate_without_one() -> None:
    given(issued(uuid=None)).when(Delete(SERIAL, "folder-1")).then_raises(UnknownSerial)


@pytest.mark.parametrize("field", ["revocation_date", "requested_at"])
def test_a_revocation_cannot_lie_in_the_future(field: str) -> None:
    now = START + timedelta(days=1)
    ahead: dict[str, Any] = {field: now + TICK}
    given(issued()).when(Revoke(SERIAL, "superseded", **ahead), at=now).then_raises(
        InvalidValue, match=f"serial {SERIAL}: .* lies in the future"
    )
    now_exactly: dict[str, Any] = {field: now}
    given(issued()).when(Revoke(SERIAL, "superseded", **now_exactly), at=now).decide()


@pytest.mark.parametrize("reason", ["removeFromCRL", "", "bogus"])
def test_an_unknown_reason_is_refused(reason: str) -> None:
    given(issued()).when(Revoke(SERIAL, reason)).then_raises(InvalidValue, match="no reason")


# Histories


@pytest.mark.parametrize(
    ("history", "phase", "present"),
    [
        ("nothing", Phase.NONE, False),
        ("valid", Phase.VALID, True),
        ("revoked", Phase.REVOKED, True),
        ("expired", Phase.EXPIRED, True),
        ("revoked after expiry", Phase.REVOKED, True),
        ("deleted while valid", Phase.DELETED, False),
        ("deleted while revoked", Phase.DELETED, False),
        ("deleted while expired", Phase.DELETED, False),
        ("issued again", Phase.VALID, True),
    ],
)
def test_a_history_adds_up_to_its_phase(history: str, phase: Phase, present: bool) -> None:
    state = fold(stream(*HISTORIES[history]))
    assert (state.phase, state.present) == (phase, present)
    assert state.version == len(HISTORIES[history])


def test_every_history_is_folded_in_parts_as_at_once() -> None:
    for history in HISTORIES.values():
        events = stream(*history)
        for cut in range(len(events) + 1):
            assert fold(events[cut:], fold(events[:cut])) == fold(events)


def test_a_state_without_certificate_says_so() -> None:
    with pytest.raises(LogCorrupt, match="does not begin with an issued event"):
        _ = State().certificate


ILLEGAL: dict[str, list[EventData]] = {
    "revoked first": [revoked()],
    "expired first": [expired()],
    "deleted first": [deleted()],
    "issued twice": [issued(), issued()],
    "issued while revoked": [issued(), revoked(), issued()],
    "issued while expired": [issued(), expired(), issued()],
    "revoked twice": [issued(), revoked(), revoked()],
    "expired twice": [issued(), expired(), expired()],
    "expired after revoked": [issued(), revoked(), expired()],
    "deleted twice": [issued(), deleted(), deleted()],
    "revoked after deleted": [issued(), deleted(), revoked()],
    "expired after deleted": [issued(), deleted(), expired()],
    "issued again within a revocation": [issued(), revoked(), deleted(), issued()],
    "expired with another end": [issued(), expired(not_valid_after=END + MINUTE)],
}


@pytest.mark.parametrize("history", ILLEGAL.values(), ids=ILLEGAL.keys())
def test_an_illegal_history_is_refused_at_its_last_event(history: list[EventData]) -> None:
    *legal, last = stream(*history)
    state = fold(legal)
    with pytest.raises(IllegalTransition, match=f"serial {SERIAL} is {state.phase}: it cannot be"):
        evolve(state, last)


@pytest.mark.parametrize("recorded", [START, END - TICK, END])
def test_an_expiry_recorded_before_the_end_is_refused(recorded: datetime) -> None:
    with pytest.raises(IllegalTransition, match="is valid: it cannot be expired"):
        evolve(fold(stream(issued())), event(expired(), version=1, recorded=recorded))


@pytest.mark.parametrize("version", [0, 1, 3, 2**31 - 1])
def test_a_gap_or_a_repetition_in_the_stream_is_refused(version: int) -> None:
    state = fold(stream(issued(), revoked()))
    with pytest.raises(LogCorrupt, match=f"entry 77: stream version {version} where 2 was due"):
        evolve(state, event(deleted(), version=version, seq=77))


def test_an_event_of_another_stream_is_refused() -> None:
    """A falsified column `subject` could bring one; its bytes would still be right."""
    stray = event(deleted(serial_number="1"), version=1)
    with pytest.raises(LogCorrupt, match=f"certificate/1 in the stream of certificate/{SERIAL}"):
        evolve(fold(stream(issued())), stray)


def test_a_list_of_revocations_has_no_place_in_a_certificate_s_stream() -> None:
    published = CrlPublished(
        number="1",
        this_update=START,
        next_update=END,
        sha256="c7" * 32,
        entries=0,
        log_size=0,
        issuer="CN=Test CA",
    )
    with pytest.raises(LedgerError):
        evolve(State(), event(published, subject="crl/5f"))
    with pytest.raises(LogCorrupt, match="crl/5f in the stream of"):
        evolve(fold(stream(issued())), event(published, version=1, subject="crl/5f"))


def test_a_type_of_a_later_version_stops_with_its_name() -> None:
    known = event(issued())
    later = known.model_copy(
        update={
            "type": "certledger.certificate.held.v1",
            "data": UnknownData.model_construct(raw={}),
        }
    )
    with pytest.raises(
        UnknownEventType, match=r"entry 0 has the type 'certledger.certificate.held"
    ):
        evolve(State(), later)


def test_a_stream_is_named_for_the_serial_number_in_decimal() -> None:
    assert [stream_of(serial) for serial in (0, -128, 2**160 - 1)] == [
        "certificate/0",
        "certificate/-128",
        "certificate/1461501637330902918203684832716283019655932542975",
    ]


# Whatever happens


steps = st.lists(
    st.tuples(commands, st.sampled_from([TICK, MINUTE, timedelta(days=50)])), max_size=12
)


@hypothesis.given(steps)
def test_what_is_decided_can_always_be_recorded(
    taken: list[tuple[Command, timedelta]],
) -> None:
    state, now = State(), START
    for command, delay in taken:
        now += delay
        try:
            data = decide(state, command, now)
        except LedgerError:
            continue
        state = evolve(state, event(data, version=state.version, recorded=now))
        assert state.present == (state.phase in PRESENT)
        assert (state.revoked is not None) >= (state.phase is Phase.REVOKED)


@hypothesis.given(steps)
def test_a_revoked_certificate_is_never_valid_again_before_its_end(
    taken: list[tuple[Command, timedelta]],
) -> None:
    state, now, was_revoked = State(), START, False
    for command, delay in taken:
        now += delay
        try:
            data = decide(state, command, now)
        except LedgerError:
            continue
        state = evolve(state, event(data, version=state.version, recorded=now))
        was_revoked = was_revoked or state.phase is Phase.REVOKED
        if was_revoked and now <= END:
            assert state.phase in {Phase.REVOKED, Phase.DELETED}
