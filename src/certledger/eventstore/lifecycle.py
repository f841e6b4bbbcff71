"""The life of a certificate: pure rules, decided on the events of its stream alone.

::

    (none) ──issued──► valid ──revoked──► revoked ─┐
       ▲                 └────expired──► expired ──┤──deleted──► deleted ──issued──► valid
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from certledger.errors import (
    DuplicateSerial,
    IllegalTransition,
    InvalidValue,
    LogCorrupt,
    UnknownEventType,
    UnknownSerial,
)
from certledger.eventstore.event import Event
from certledger.eventstore.events import (
    CertificateData,
    Deleted,
    Expired,
    Issued,
    Revoked,
    UnknownData,
    validated,
)
from certledger.eventstore.reasons import CODE_BY_NAME, reason_name
from certledger.eventstore.times import naive_utc


class Phase(StrEnum):
    """Where a serial number stands in its life."""

    NONE = "unknown"
    VALID = "valid"
    REVOKED = "revoked"
    EXPIRED = "expired"
    DELETED = "deleted"


PRESENT = frozenset({Phase.VALID, Phase.REVOKED, Phase.EXPIRED})


@dataclass(frozen=True, slots=True)
class State:
    """What the events of one stream add up to."""

    version: int = 0
    """How many events the stream has: the expected version of an append."""
    phase: Phase = Phase.NONE
    issued: Issued | None = None
    """The latest registration."""
    issued_seq: int = -1
    revoked: Revoked | None = None
    """The revocation of the latest registration; a deletion does not end it."""
    last_phase: Phase = Phase.NONE
    """Of a deleted certificate: the phase before."""

    @property
    def present(self) -> bool:
        """Whether the registry has a row for this serial."""
        return self.phase in PRESENT

    @property
    def certificate(self) -> Issued:
        """The latest registration, of a stream that has one."""
        if self.issued is None:
            message = "the stream does not begin with an issued event"
            raise LogCorrupt(message)
        return self.issued


@dataclass(frozen=True, slots=True)
class Issue:
    """Register a certificate."""

    data: Issued

    @property
    def serial(self) -> int:
        """The serial number."""
        return self.data.serial


@dataclass(frozen=True, slots=True)
class Revoke:
    """Revoke a certificate; without a date it takes effect when it is recorded.

    Raises `InvalidValue` for a date without a time zone.
    """

    serial: int
    reason: str
    revocation_date: datetime | None = None
    invalidity_date: datetime | None = None
    hold_instruction: str | None = None
    requested_at: datetime | None = None
    comment: str | None = None
    after_expiry: bool = False
    """Record the late knowledge that an expired certificate had been revoked."""

    def __post_init__(self) -> None:
        for instant in (self.revocation_date, self.invalidity_date, self.requested_at):
            if instant is not None:
                naive_utc(instant)


@dataclass(frozen=True, slots=True)
class Expire:
    """Note that a certificate is past its end."""

    serial: int
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a certificate's row; `uuid`, where given, must be the certificate's."""

    serial: int
    uuid: str | None = None
    comment: str | None = None


Command = Issue | Revoke | Expire | Delete


def stream_of(serial: int) -> str:
    """Return the subject of a certificate's stream."""
    return f"certificate/{serial}"


def decide(state: State, command: Command, now: datetime) -> CertificateData:
    """Return the data of the event that the command causes.

    Raises `DuplicateSerial`, `UnknownSerial`, `IllegalTransition`, or `InvalidValue` for an
    unknown reason, and for a revocation date, time of request or invalidity date past `now`.
    """
    match command:
        case Issue():
            return _decide_issue(state, command, now)
        case Revoke():
            return _decide_revoke(state, command, now)
        case Expire():
            return _decide_expire(state, command, now)
        case Delete():
            return _decide_delete(state, command)


def _decide_issue(state: State, command: Issue, now: datetime) -> Issued:
    data = command.data
    if state.present:
        present = state.certificate
        raise DuplicateSerial(
            data.serial,
            same_certificate=present.sha256 == data.sha256,
            present=_name(present),
            refused=_name(data),
        )
    if _revocation_in_force(state, now):
        end = state.certificate.not_valid_after
        why = f"it was revoked and is within its validity until {end:%Y-%m-%d %H:%M:%S}Z"
        raise IllegalTransition(data.serial, "deleted", "registered again", why)
    return data


def _decide_revoke(state: State, command: Revoke, now: datetime) -> Revoked:
    _require_present(state, command.serial)
    allowed = state.phase is Phase.VALID or (state.phase is Phase.EXPIRED and command.after_expiry)
    if not allowed:
        raise IllegalTransition(command.serial, state.phase, "revoked")
    for name, instant in (
        ("the revocation date", command.revocation_date),
        ("the time of the request", command.requested_at),
        ("the invalidity date", command.invalidity_date),
    ):
        if instant is not None and instant > now:
            message = f"serial {command.serial}: {name} {instant} lies in the future"
            raise InvalidValue(message)
    return revoked_data(command, now)


def revoked_data(command: Revoke, recorded: datetime) -> Revoked:
    """Return the data of a revocation that is recorded at an instant."""
    reason = reason_name(command.reason)
    fields = {
        "serial_number": str(command.serial),
        "reason": reason,
        "reason_code": CODE_BY_NAME[reason],
        "revocation_date": command.revocation_date or recorded,
        "invalidity_date": command.invalidity_date,
        "hold_instruction": command.hold_instruction,
        "requested_at": command.requested_at,
        "comment": command.comment,
    }
    return validated(Revoked, fields)


def _decide_expire(state: State, command: Expire, now: datetime) -> Expired:
    _require_present(state, command.serial)
    end = state.certificate.not_valid_after
    if state.phase is not Phase.VALID:
        raise IllegalTransition(command.serial, state.phase, "expired")
    if end >= now:
        why = f"it is within its validity until {end:%Y-%m-%d %H:%M:%S}Z"
        raise IllegalTransition(command.serial, state.phase, "expired", why)
    return Expired(serial_number=str(command.serial), not_valid_after=end, comment=command.comment)


def _decide_delete(state: State, command: Delete) -> Deleted:
    _require_present(state, command.serial)
    uuid = state.certificate.uuid
    if command.uuid is not None and command.uuid != uuid:
        message = f"uuid {command.uuid!r}"
        raise UnknownSerial(message)
    return Deleted(serial_number=str(command.serial), uuid=uuid, comment=command.comment)


def _require_present(state: State, serial: int) -> None:
    if not state.present:
        message = f"serial {serial}"
        raise UnknownSerial(message)


def _revocation_in_force(state: State, now: datetime) -> bool:
    return state.revoked is not None and state.certificate.not_valid_after >= now


def _name(data: Issued) -> str:
    return f"{(data.common_name or data.issuer or '')!r} (SHA-256 {data.sha256[:16]}…)"


def evolve(state: State, event: Event) -> State:
    """Return the state after one more event of the stream.

    Raises `IllegalTransition` for an event that the lifecycle does not allow there, `LogCorrupt`
    for a gap in the stream or an event of another stream, `UnknownEventType` for a type that this
    version does not know.
    """
    data = event.data
    if event.streamversion != state.version:
        message = f"stream version {event.streamversion} where {state.version} was due"
        raise LogCorrupt(message, event.seq)
    if isinstance(data, UnknownData):
        raise UnknownEventType(event.seq, event.type)
    _require_same_stream(state, event)
    if not _allowed(state, event):
        change = event.type.split(".")[-2]
        raise IllegalTransition(event.subject.partition("/")[2], state.phase, change)
    match data:
        case Issued():
            return State(state.version + 1, Phase.VALID, data, event.seq)
        case Revoked():
            return replace(state, version=state.version + 1, phase=Phase.REVOKED, revoked=data)
        case Expired():
            return replace(state, version=state.version + 1, phase=Phase.EXPIRED)
        case Deleted():
            return replace(
                state, version=state.version + 1, phase=Phase.DELETED, last_phase=state.phase
            )
    raise UnknownEventType(event.seq, event.type)


def _require_same_stream(state: State, event: Event) -> None:
    """Refuse an event of another serial number, which a falsified look-up column may bring."""
    if state.issued is not None and not state.issued.belongs_to(event.subject):
        message = f"an event of {event.subject} in the stream of {stream_of(state.issued.serial)}"
        raise LogCorrupt(message, event.seq)


def _allowed(state: State, event: Event) -> bool:
    match event.data:
        case Issued():
            return not state.present and not _revocation_in_force(state, event.recordedtime)
        case Revoked():
            return state.phase in {Phase.VALID, Phase.EXPIRED}
        case Expired(not_valid_after=end):
            return (
                state.phase is Phase.VALID
                and end == state.certificate.not_valid_after
                and end < event.recordedtime
            )
        case Deleted():
            return state.present
    return False


def fold(events: Iterable[Event], state: State | None = None) -> State:
    """Return the state after all of the events, given in stream order."""
    state = state or State()
    for event in events:
        state = evolve(state, event)
    return state
