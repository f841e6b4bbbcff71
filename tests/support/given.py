"""Lifecycle tests in three steps::

    given(issued(), revoked()).when(Delete(SERIAL)).then(deleted())
    given(issued(), deleted()).when(Revoke(SERIAL, "superseded")).then_raises(UnknownSerial)

The makers give data of one certificate with the serial `SERIAL`, valid from `START` to `END`;
keywords replace fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from certledger.errors import LedgerError
from certledger.eventstore.event import Event, make_event, sequence_text
from certledger.eventstore.events import (
    CertificateData,
    Deleted,
    EventData,
    Expired,
    Issued,
    Revoked,
)
from certledger.eventstore.lifecycle import Command, Issue, State, decide, evolve, fold, stream_of
from certledger.eventstore.reasons import CODE_BY_NAME

SERIAL = 4711
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def issued(**fields: Any) -> Issued:
    known: dict[str, Any] = {
        "serial_number": str(SERIAL),
        "common_name": "device.example.org",
        "not_valid_before": START,
        "not_valid_after": END,
        "key_type": "device",
        "uuid": "folder-1",
        "issuer": "CN=Test CA",
        "sha256": "a1" * 32,
        "certificate_pem": "-----BEGIN CERTIFICATE-----\n",
    }
    return Issued(**known | fields)


def revoked(reason: str = "keyCompromise", **fields: Any) -> Revoked:
    known: dict[str, Any] = {
        "serial_number": str(SERIAL),
        "reason": reason,
        "reason_code": CODE_BY_NAME[reason],
        "revocation_date": START + timedelta(days=1),
    }
    return Revoked(**known | fields)


def expired(**fields: Any) -> Expired:
    known: dict[str, Any] = {"serial_number": str(SERIAL), "not_valid_after": END}
    return Expired(**known | fields)


def deleted(**fields: Any) -> Deleted:
    known: dict[str, Any] = {"serial_number": str(SERIAL), "uuid": "folder-1"}
    return Deleted(**known | fields)


def event(
    data: EventData,
    *,
    version: int = 0,
    recorded: datetime = START,
    seq: int | None = None,
    subject: str | None = None,
) -> Event:
    """An event of a certificate's stream; by default the log holds this stream alone."""
    if subject is None:
        assert isinstance(data, CertificateData)
        subject = stream_of(data.serial)
    position = version if seq is None else seq
    return make_event(
        data=data,
        recorded=recorded,
        occurred=None,
        id=str(UUID(int=position)),
        source="certledger.invalid/test",
        subject=subject,
        sequence=sequence_text(position),
        streamversion=version,
        authtype="user",
        authid="alice",
    )


def stream(*history: EventData) -> list[Event]:
    """Record data one after another, a minute apart, each as early as the lifecycle allows."""
    events: list[Event] = []
    now = START
    for version, data in enumerate(history):
        now += MINUTE
        if isinstance(data, Expired):
            now = max(now, data.not_valid_after + MINUTE)
        events.append(event(data, version=version, recorded=now))
    return events


@dataclass(frozen=True)
class Given:
    """A stream that has been recorded."""

    events: list[Event]

    def when(self, command: Command, *, at: datetime | None = None) -> When:
        """Take a command, by default a minute after the last event."""
        last = self.events[-1].recordedtime if self.events else START
        return When(self.events, command, at or last + MINUTE)

    def when_issued(self, *, at: datetime | None = None, **fields: Any) -> When:
        """Register the certificate, with these fields replaced."""
        return self.when(Issue(issued(**fields)), at=at)


@dataclass(frozen=True)
class When:
    """A command about to be decided."""

    events: list[Event]
    command: Command
    at: datetime

    def decide(self) -> CertificateData:
        return decide(fold(self.events), self.command, self.at)

    def then(self, expected: CertificateData) -> State:
        """The decision is `expected`; return the state that it leads to."""
        data = self.decide()
        assert data == expected
        version = len(self.events)
        return evolve(fold(self.events), event(data, version=version, recorded=self.at))

    def then_raises(self, error: type[LedgerError], *, match: str | None = None) -> LedgerError:
        """The command is refused; return the error."""
        with pytest.raises(error, match=match) as caught:
            self.decide()
        assert type(caught.value) is error
        return caught.value


def given(*history: EventData) -> Given:
    """A stream with these events, recorded as `stream` does."""
    return Given(stream(*history))
