"""A log without a Ledger above it: made, filled and read through `Tail` alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID, uuid4

from certledger.eventstore.actor import Actor
from certledger.eventstore.append import NewEvent, Tail
from certledger.eventstore.database import Database
from certledger.eventstore.event import Event
from certledger.eventstore.events import CertificateData, EventData
from certledger.eventstore.lifecycle import stream_of
from certledger.eventstore.times import Clock
from certledger.projections.schema import prepare
from tests.support.given import issued

Result = TypeVar("Result")

ORIGIN = "certledger.invalid/test"
ALICE = Actor("alice")


def make_log(url: str, clock: Clock) -> Database:
    """An empty log; the caller closes it."""
    database = Database(url, retry_seconds=5)
    prepare(database, create=True, origin=ORIGIN, clock=clock)
    return database


def new(data: EventData, actor: Actor = ALICE, **fields: Any) -> NewEvent:
    """An event that is to be appended, in the stream that its data names."""
    subject = fields.pop("subject", None)
    if subject is None:
        assert isinstance(data, CertificateData)
        subject = stream_of(data.serial)
    return NewEvent(subject, data, actor, fields.pop("id", str(uuid4())), **fields)


def registration(serial: int, actor: Actor = ALICE, **fields: Any) -> NewEvent:
    """The first event of a stream, with an id that the serial number decides."""
    data = issued(serial_number=str(serial), uuid=f"folder-{serial}")
    return new(data, actor, id=str(UUID(int=serial)), **fields)


def on_tail(
    database: Database, clock: Clock, work: Callable[[Tail], Result], **options: Any
) -> Result:
    """Do something at the locked end of the log, flush and commit."""

    def once(connection: Any, _retrying: bool) -> Result:
        tail = Tail(connection, clock, **options)
        result = work(tail)
        tail.flush()
        return result

    return database.write(once)


def append(
    database: Database, clock: Clock, events: Sequence[NewEvent], *, expected_version: int
) -> list[Event]:
    """Append to one stream in a transaction of its own."""
    return on_tail(
        database, clock, lambda tail: tail.append(events, expected_version=expected_version)
    )


def fill(
    database: Database, clock: Clock, count: int, *, first: int = 0, actor: Actor = ALICE
) -> None:
    """Register certificates with the serial numbers from `first` in one transaction."""

    def work(tail: Tail) -> None:
        for serial in range(first, first + count):
            tail.append([registration(serial, actor)], expected_version=0)

    on_tail(database, clock, work)
