"""Appending to the log: the one place where entries are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam

from certledger.errors import ClockBehindLog, ConcurrencyConflict, InvalidValue
from certledger.eventstore.actor import Actor
from certledger.eventstore.backends import backend_of
from certledger.eventstore.event import Event, make_event, sequence_text
from certledger.eventstore.events import EventData
from certledger.eventstore.head import ask_to_grow, ask_to_lock, frontier_of
from certledger.eventstore.known import Known, ask_known, read_known
from certledger.eventstore.merkle import Frontier, leaf_hash
from certledger.eventstore.reader import read_stream, stream_version
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import log_entry
from certledger.eventstore.times import Clock, aware_utc, naive_utc

NOTED_AFTER: Final = timedelta(seconds=1)
"""A clock further behind the last entry than this is noted in the entry as `clocktime`."""

REFUSED_AFTER: Final = timedelta(hours=24)
"""A clock further behind the last entry than this makes the append fail."""

_INSERT: Final = Statement(
    log_entry.insert().values({column.name: bindparam(column.name) for column in log_entry.c})
)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is to be appended: all but what its place in the log decides."""

    subject: str
    data: EventData
    actor: Actor
    id: str
    """Made before the first attempt and kept over retries, so that a repetition is recognised."""
    occurred: datetime | None = None
    """When it happened, where `data` does not say."""
    timesource: Literal["notbefore"] | None = None
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict)


class Tail:
    """The end of the log, locked for one write transaction.

    What is appended is written by `flush`, before the transaction's commit.
    """

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        *,
        allow_clock_behind: bool = False,
        subjects: Sequence[str] = (),
        uuids: Sequence[str] = (),
    ) -> None:
        """Lock the log and read the clock. Streams and uuids that are named are read ahead.

        Raises `ClockBehindLog`, or `LogCorrupt` for a damaged head or stream.
        """
        self._connection = connection
        with backend_of(connection).together(connection):
            head = ask_to_lock(connection)
            # A statement of its own, so it sees what was committed while the lock was waited for.
            known = ask_known(connection, subjects, uuids)
        self.head = head()
        self._frontier = frontier_of(self.head)
        self.holders: dict[str, list[str]] = {}
        """uuid to the streams with it when the log was locked, as far as they were read."""
        self._streams: dict[str, list[Event]] = {}
        self._versions: dict[str, int] = {}
        self._unflushed: dict[str, list[Event]] = {}
        self._rows: list[dict[str, Any]] = []
        reading = aware_utc(naive_utc(clock()))
        last = self.head.recorded_at
        self.now = reading if last is None else max(reading, last)
        """When everything that is appended here is recorded: never before the last entry."""
        behind = self.now - reading
        if behind > REFUSED_AFTER and not allow_clock_behind:
            raise ClockBehindLog(reading, self.now)
        self._clocktime = reading if behind > NOTED_AFTER else None
        self._learn(known())

    @property
    def size(self) -> int:
        """The next position."""
        return self._frontier.size

    def learn(self, subjects: Sequence[str], uuids: Sequence[str]) -> None:
        """Read streams and uuids ahead, as many of them are to be decided on."""
        new = [subject for subject in subjects if subject not in self._streams]
        other = [uuid for uuid in uuids if uuid not in self.holders]
        if new or other:
            self._learn(read_known(self._connection, new, other))

    def _learn(self, known: Known) -> None:
        self.holders.update(known.holders)
        for subject, events in known.streams.items():
            self._remember(subject, events)

    def stream(self, subject: str) -> list[Event]:
        """Return the events of a stream, those appended here included."""
        events = self._streams.get(subject)
        if events is None:
            events = self._remember(subject, read_stream(self._connection, subject))
        return events

    def _remember(self, subject: str, stored: list[Event]) -> list[Event]:
        events = stored + self._unflushed.get(subject, [])
        self._streams[subject] = events
        self._versions[subject] = len(events)
        return events

    def version(self, subject: str) -> int:
        """Return how many events a stream has, those appended here included."""
        version = self._versions.get(subject)
        if version is None:
            version = self._versions[subject] = stream_version(self._connection, subject)
        return version

    def append(self, events: Sequence[NewEvent], *, expected_version: int) -> list[Event]:
        """Append events to the one stream that all of them name.

        `expected_version` is the number of events that the caller knows the stream to have.
        Raises `ConcurrencyConflict` where it has another number, `InvalidValue` for events of
        several streams, or an `InvalidEvent`; then nothing is appended.
        """
        for subject in {new.subject for new in events}:
            if subject != events[0].subject:
                message = f"events of {subject} and {events[0].subject} in one append"
                raise InvalidValue(message)
            version = self.version(subject)
            if version != expected_version:
                raise ConcurrencyConflict(subject, expected_version, version)
        made = [self._make(new, expected_version + at, at) for at, new in enumerate(events)]
        for event, entry in made:
            self._add(event, entry)
        return [event for event, _ in made]

    def _make(self, new: NewEvent, version: int, ahead: int) -> tuple[Event, bytes]:
        event = make_event(
            data=new.data,
            recorded=self.now,
            occurred=new.occurred,
            id=new.id,
            source=self.head.origin,
            subject=new.subject,
            sequence=sequence_text(self.size + ahead),
            streamversion=version,
            authtype=new.actor.authtype,
            authid=new.actor.authid,
            correlationid=new.actor.correlation_id,
            causationid=new.actor.causation_id,
            clocktime=self._clocktime,
            timesource=new.timesource,
            extensions=new.extensions,
        )
        return event, event.to_entry()

    def _add(self, event: Event, entry: bytes) -> None:
        self._versions[event.subject] = event.streamversion + 1
        self._unflushed.setdefault(event.subject, []).append(event)
        if event.subject in self._streams:
            self._streams[event.subject].append(event)
        self._rows.append(entry_row(event, entry, self._frontier))

    def flush(self) -> None:
        """Write what was appended, and the new head."""
        self.ask_to_flush()()

    def ask_to_flush(self) -> Callable[[], None]:
        """Write it; what is returned sees that the head was still where it was."""
        if not self._rows:
            return lambda: None
        insert_rows(self._connection, self._rows)
        before = self.size - len(self._rows)
        grown = ask_to_grow(self._connection, before, self._frontier, self.now)
        self._rows = []
        self._unflushed = {}
        return grown


def entry_row(event: Event, entry: bytes, frontier: Frontier) -> dict[str, Any]:
    """Return the row of an entry, which the tree grows by."""
    return {
        "seq": event.seq,
        "hashes": frontier.append(leaf_hash(entry)),
        "event_id": event.id,
        "subject": event.subject,
        "streamversion": event.streamversion,
        "type": event.type,
        "actor": event.authid,
        "uuid": event.data.uuid_taken,
        "recorded_at": naive_utc(event.recordedtime),
        "entry": entry,
    }


def insert_rows(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows made by `entry_row`, in their order; the head is the caller's to move."""
    _INSERT.ask_many(connection, rows)
