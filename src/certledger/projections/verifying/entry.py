"""Holding one entry's bytes against the format, its columns and the certificate in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Dialect

from certledger.errors import InvalidEvent, LedgerError
from certledger.eventstore.certificates import describe_certificate, load_certificate
from certledger.eventstore.event import Event, read_event
from certledger.eventstore.events import Issued, UnknownData
from certledger.eventstore.merkle import HASH_SIZE, leaf_hash
from certledger.eventstore.tables import log_entry
from certledger.eventstore.times import naive_utc
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.stored import StoredEntry, shown, told

_CERTIFICATE_FIELDS: Final = (
    "serial_number",
    "sha256",
    "common_name",
    "not_valid_before",
    "not_valid_after",
)


class EntryCheck:
    """Checks entries one after another, in the order of the log."""

    def __init__(self, dialect: Dialect, origin: str | None) -> None:
        """`origin` is the head's; None: that of the first entry."""
        self._origin = origin
        self._recorded: datetime | None = None
        self._store: Callable[[datetime], Any] = (
            log_entry.c.recorded_at.type.dialect_impl(dialect).bind_processor(dialect) or _unchanged
        )

    def recorded_at(self, event: Event | None) -> Any:
        """Return an event's recorded time as the database stores it."""
        return None if event is None else self._store(naive_utc(event.recordedtime))

    def read(self, row: StoredEntry) -> tuple[list[Finding], bytes | None, Event | None]:
        """Return the faults of the bytes, the leaf hash to go on with, and the event if any."""
        stored = row.hashes[:HASH_SIZE] if isinstance(row.hashes, bytes) else b""
        if row.entry is None:
            fault = Finding("finding", "entry-missing", row.seq, "its bytes are missing")
            return [fault], stored if len(stored) == HASH_SIZE else None, None
        if not isinstance(row.entry, bytes):
            message = f"its bytes are no binary but {shown(row.entry)}"
            return [Finding("finding", "entry-malformed", row.seq, message)], None, None
        leaf = leaf_hash(row.entry)
        faults = []
        if leaf != stored:
            message = f"its bytes have the leaf hash {leaf.hex()}, stored is {stored.hex()}"
            faults.append(Finding("finding", "leaf-hash", row.seq, message))
        try:
            return faults, leaf, read_event(row.entry)
        except InvalidEvent as error:
            faults.append(Finding("finding", "entry-malformed", row.seq, told(error)))
        return faults, leaf, None

    def check(self, row: StoredEntry, event: Event) -> Iterator[Finding]:
        """Yield what does not fit together."""
        yield from self._check_place(row.seq, event)
        for name, wanted in self._columns(event).items():
            found = getattr(row, name)
            if found != wanted or type(found) is not type(wanted):
                message = f"the column {name} says {shown(found)}, the bytes say {shown(wanted)}"
                yield Finding("finding", "column", row.seq, message)
        if event.clocktime is not None:
            message = f"the writer's clock read {event.clocktime}, behind the log"
            yield Finding("note", "clock", row.seq, message)
        if isinstance(event.data, UnknownData):
            message = f"this version does not know the type {event.type}"
            yield Finding("note", "unknown-type", row.seq, message)
        if isinstance(event.data, Issued):
            yield from _check_certificate(row.seq, event.data)

    def _check_place(self, seq: int, event: Event) -> Iterator[Finding]:
        if event.seq != seq:
            message = f"its bytes say that it is entry {event.seq}"
            yield Finding("finding", "sequence", seq, message)
        if self._origin is None:
            self._origin = event.source
        if event.source != self._origin:
            message = f"its source is {shown(event.source)}, the origin is {shown(self._origin)}"
            yield Finding("finding", "source", seq, message)
        if self._recorded is not None and event.recordedtime < self._recorded:
            message = f"recorded at {event.recordedtime}, before the entry before it"
            yield Finding("finding", "order", seq, f"{message} ({self._recorded})")
        self._recorded = event.recordedtime

    def _columns(self, event: Event) -> dict[str, Any]:
        return {
            "event_id": event.id,
            "subject": event.subject,
            "streamversion": event.streamversion,
            "type": event.type,
            "actor": event.authid,
            "uuid": event.data.uuid_taken,
            "recorded_at": self.recorded_at(event),
        }


def _check_certificate(seq: int, data: Issued) -> Iterator[Finding]:
    try:
        certificate = describe_certificate(load_certificate(data.certificate_pem))
    except LedgerError as error:
        yield Finding("finding", "certificate", seq, told(error))
        return
    for name in _CERTIFICATE_FIELDS:
        stated, found = getattr(data, name), getattr(certificate, name)
        if stated != found:
            message = f"{name} is {shown(stated)}, the certificate says {shown(found)}"
            yield Finding("finding", "certificate", seq, message)


def _unchanged(value: datetime) -> datetime:
    return value
