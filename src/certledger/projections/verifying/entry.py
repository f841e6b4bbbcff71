"""Holding one entry's bytes against the format, its columns and the certificate in it.

Nothing here depends on the entries before, so that pages can be checked in several processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from sqlalchemy import Dialect

from certledger.errors import InvalidEvent
from certledger.eventstore.event import Event, read_event
from certledger.eventstore.events import Issued, UnknownData
from certledger.eventstore.merkle import HASH_SIZE, leaf_hash
from certledger.eventstore.statement import writer_of
from certledger.eventstore.tables import log_entry
from certledger.eventstore.times import naive_utc
from certledger.projections.page import change_of
from certledger.projections.verifying.certificate import CertificateCheck
from certledger.projections.verifying.finding import Finding, serial_in
from certledger.projections.verifying.places import PlaceRow, place_of, place_of_columns
from certledger.projections.verifying.stored import StoredEntry, shown, told

_COPIES: Final = ("event_id", "subject", "streamversion", "type", "actor", "uuid", "recorded_at")
_FIRST_COPY: Final = StoredEntry._fields.index(_COPIES[0])
_AFTER_COPIES: Final = _FIRST_COPY + len(_COPIES)


class CheckedEntry(NamedTuple):
    """What an entry was found to be: all that the checks across entries need of it."""

    seq: int
    hashes: Any
    """As they are stored."""
    leaf: bytes | None
    """The leaf hash of the bytes; None where there are none."""
    subject: Any
    """By the bytes; where they cannot be read, what the column says."""
    findings: list[Finding]
    source: str | None
    """None where the bytes cannot be read."""
    recorded: Any
    """The recorded time as the database stores it, which sorts as times do; of unreadable bytes
    what the column says."""
    misplaced: bool
    """Whether the bytes say that they stand elsewhere."""
    place: PlaceRow | None
    """Where it stands in its stream."""
    change: tuple[Any, ...] | None
    """A `Change`: what it changes in the tables; None where that cannot be known."""


class EntryCheck:
    """Checks entries, each by itself."""

    def __init__(self, dialect: Dialect) -> None:
        self._store: Callable[[Any], Any] = (
            writer_of(log_entry.c.recorded_at.type, dialect) or _unchanged
        )
        self._certificates = CertificateCheck()

    def page(self, rows: Iterable[tuple[Any, ...]]) -> list[CheckedEntry]:
        """Check rows of `log_entry`, the columns in the order of `StoredEntry`."""
        return [self.check(StoredEntry(*row)) for row in rows]

    def check(self, row: StoredEntry) -> CheckedEntry:
        """Check an entry."""
        if isinstance(row.entry, bytes):
            leaf = leaf_hash(row.entry)
            try:
                return self._checked(row, leaf, read_event(row.entry))
            except InvalidEvent as error:
                return _unreadable(row, leaf, "entry-malformed", told(error))
        if row.entry is None:
            return _unreadable(row, None, "entry-missing", "its bytes are missing")
        message = f"its bytes are no binary but {shown(row.entry)}"
        return _unreadable(row, None, "entry-malformed", message)

    def _checked(self, row: StoredEntry, leaf: bytes, event: Event) -> CheckedEntry:
        copies = self._copies(event)
        findings = [
            *_check_place(row, event),
            *_check_copies(row, copies),
            *_notes(row.seq, event),
        ]
        if isinstance(event.data, Issued):
            findings += self._certificates.check(row.seq, event.data)
        return CheckedEntry(
            seq=row.seq,
            hashes=row.hashes,
            leaf=leaf,
            subject=event.subject,
            findings=findings,
            source=event.source,
            recorded=copies[-1],
            misplaced=event.seq != row.seq,
            place=place_of(row.seq, event),
            change=_change(row, leaf, event),
        )

    def _copies(self, event: Event) -> tuple[Any, ...]:
        """Return what the columns `_COPIES` must hold."""
        return (
            event.id,
            event.subject,
            event.streamversion,
            event.type,
            event.authid,
            event.data.uuid_taken,
            self._store(naive_utc(event.recordedtime)),
        )


def _unreadable(row: StoredEntry, leaf: bytes | None, kind: str, message: str) -> CheckedEntry:
    serial = serial_in(row.subject)
    fault = (
        Finding("finding", "entry-missing", row.seq, message, serial)
        if kind == "entry-missing"
        else Finding("finding", "entry-malformed", row.seq, message, serial)
    )
    return CheckedEntry(
        seq=row.seq,
        hashes=row.hashes,
        leaf=leaf,
        subject=row.subject,
        findings=[fault],
        source=None,
        recorded=row.recorded_at,
        misplaced=False,
        place=place_of_columns(row),
        change=None,
    )


def _check_place(row: StoredEntry, event: Event) -> Iterator[Finding]:
    if event.seq != row.seq:
        message = f"its bytes say that it is entry {event.seq}"
        yield Finding("finding", "sequence", row.seq, message, serial_in(event.subject))


def _check_copies(row: StoredEntry, wanted: tuple[Any, ...]) -> Iterator[Finding]:
    found = row[_FIRST_COPY:_AFTER_COPIES]
    # By type too: 1 equals 1.0 and True.
    if found == wanted and [*map(type, found)] == [*map(type, wanted)]:
        return
    for name, copy, stated in zip(_COPIES, found, wanted, strict=True):
        if copy != stated or type(copy) is not type(stated):
            message = f"the column {name} says {shown(copy)}, the bytes say {shown(stated)}"
            serial = serial_in(wanted[_COPIES.index("subject")])
            yield Finding("finding", "column", row.seq, message, serial)


def _notes(seq: int, event: Event) -> Iterator[Finding]:
    if event.clocktime is not None:
        message = f"the writer's clock read {event.clocktime}, behind the log"
        yield Finding("note", "clock", seq, message, serial_in(event.subject))
    if isinstance(event.data, UnknownData):
        message = f"this version does not know the type {event.type}"
        yield Finding("note", "unknown-type", seq, message, serial_in(event.subject))


def _change(row: StoredEntry, leaf: bytes, event: Event) -> tuple[Any, ...] | None:
    """Return what the entry changes in the tables, None where its row contradicts itself."""
    hashed = isinstance(row.hashes, bytes) and row.hashes[:HASH_SIZE] == leaf
    columns = (row.seq, row.subject, row.streamversion, row.type)
    stated = (event.seq, event.subject, event.streamversion, event.type)
    return tuple(change_of(*stated, event.data)) if hashed and columns == stated else None


def _unchanged(value: Any) -> Any:
    return value
