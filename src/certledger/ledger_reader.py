"""The read side of a registry: queries on the table, the log and its head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from certledger.errors import InvalidValue, UnknownSerial
from certledger.eventstore.backends.sqlite_files import size_of
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.database import Database
from certledger.eventstore.event import Event
from certledger.eventstore.events import EVENT_TYPES
from certledger.eventstore.head import Head, read_head
from certledger.eventstore.lifecycle import stream_of
from certledger.eventstore.reader import END, PAGE, LogQuery, position_at, read_log, read_stream
from certledger.eventstore.times import Clock, naive_utc
from certledger.projections import queries
from certledger.projections.models import CertificateRecord
from certledger.projections.queries import RevokedRow
from certledger.projections.schema import versions
from certledger.projections.status import CertificateStatus

Records = list[CertificateRecord]
_LAST: Final = datetime.max  # noqa: DTZ901 # columns are naive


@dataclass(frozen=True, slots=True)
class Status:
    """A registry at a glance."""

    url: str
    """Without its password."""
    head: Head
    counts: dict[str, int]
    """Present certificates by status."""
    retired: int
    """How many deletions there were."""
    size_bytes: int | None
    """Of the SQLite files, None for other databases."""
    versions: dict[str, str]
    """Of format, tables and projector."""
    warnings: list[str]
    """Settings that weaken the promise of durability."""


class LedgerReader:
    """Answers questions, and changes nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Read the registry in a database, at the time that a clock gives."""
        self.database = database
        self._clock = clock

    @property
    def url(self) -> str:
        """The database's URL without its password."""
        return str(self.database)

    @property
    def file(self) -> Path | None:
        """The path of an SQLite file, None for other databases."""
        return self.database.file

    def now(self) -> datetime:
        """Return the present instant by the registry's clock."""
        return self._clock()

    def get(self, serial: int) -> CertificateRecord:
        """Return a present certificate. Raises `UnknownSerial`."""
        record = self.database.read(lambda c: queries.get_by_serial(c, serial))
        if record is None:
            message = f"serial {serial}"
            raise UnknownSerial(message)
        return record

    def find(self, common_name: str) -> CertificateRecord | None:
        """Return the valid certificate of a common name: of several one not past its end before
        one that is, then the one that began last, then the one registered last.
        """
        now = naive_utc(self.now())
        return self.database.read(lambda c: queries.get_by_name(c, common_name, now))

    def list(
        self,
        *,
        status: object = None,
        key_type: object = None,
        limit: int | None = 100,
        offset: int = 0,
    ) -> Records:
        """Return certificates, newest first; `limit` None gives all.

        Raises `InvalidValue` for an unknown status or key type, or a negative number.
        """
        filters = _filters(status, key_type)
        for name, number in (("limit", limit or 0), ("offset", offset)):
            if number < 0:
                message = f"{name}: {number} is negative"
                raise InvalidValue(message)
        count = END if limit is None else min(limit, END)
        return self.database.read(
            lambda c: queries.list_certificates(c, filters, count, min(offset, END))
        )

    def each(
        self, *, status: object = None, key_type: object = None
    ) -> Iterator[CertificateRecord]:
        """Yield all certificates, newest first, in pages: a short read transaction for each.

        Raises `InvalidValue` for an unknown status or key type.
        """
        filters = _filters(status, key_type)

        def pages() -> Iterator[CertificateRecord]:
            below = END
            while page := self.database.read(
                lambda c, at=below: queries.page_below(c, filters, at, PAGE)  # type: ignore[misc] # binds the loop's value
            ):
                yield from page
                below = page[-1].id

        return pages()

    def count(self, *, status: object = None, key_type: object = None) -> int:
        """Return how many certificates `list` has. Raises `InvalidValue`."""
        filters = _filters(status, key_type)
        return self.database.read(lambda c: queries.count_certificates(c, filters))

    def expiring(self, within_days: float = 30) -> Records:
        """Return the valid certificates that end within so many days, soonest first.

        A window past the last date means all that end in the future, a negative one none.
        """
        now = naive_utc(self.now())
        try:
            until = now + timedelta(days=within_days)
        except OverflowError:
            until = _LAST if within_days > 0 else now
        return self.database.read(lambda c: queries.expiring(c, now, until))

    def revoked(self, *, window: timedelta | None = None) -> Sequence[RevokedRow]:
        """Return the revocations of certificates within their validity, by date and serial.

        Those of deleted certificates are among them. `window` leaves out older revocations. The
        rows are the table's: a CRL is made from the log, by `crl`.

        Raises `InvalidValue` for a negative window: no CRL must be empty by mistake.
        """
        if window is not None and window < timedelta(0):
            message = f"window: {window} is negative"
            raise InvalidValue(message)
        now = naive_utc(self.now())
        try:
            since = datetime.min if window is None else now - window  # noqa: DTZ901 # naive columns
        except OverflowError:
            since = datetime.min  # noqa: DTZ901 # naive columns
        return self.database.read(lambda c: queries.revoked(c, now, since))

    def history(self, serial: int) -> Sequence[Event]:
        """Return all events of a serial number, oldest first. Raises `UnknownSerial`."""
        events = self.database.read(lambda c: read_stream(c, stream_of(serial)))
        if not events:
            message = f"serial {serial}"
            raise UnknownSerial(message)
        return events

    def events(
        self,
        *,
        since: int | datetime | None = None,
        until: int | datetime | None = None,
        type: str | None = None,  # noqa: A002 # the name of the CloudEvents attribute
        actor: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Event]:
        """Yield the events of the log with since <= position or recorded time < until.

        `type` is a full event type or its short name (issued, revoked, expired, deleted, crl),
        `actor` an `authid`. The log is read in pages, a short transaction each.

        Raises `InvalidValue`, or `LogCorrupt` at an entry that was changed.
        """
        if limit is not None and limit < 0:
            message = f"limit: {limit} is negative"
            raise InvalidValue(message)
        start, stop = self.database.read(
            lambda c: (_position(c, since, 0), _position(c, until, read_head(c).size))
        )
        query = LogQuery(start, stop, _full_type(type), actor, reverse)
        return (entry.event() for entry in read_log(self.database, query, limit))

    def head(self) -> Head:
        """Return how far the log has come."""
        return self.database.read(read_head)

    def status(self) -> Status:
        """Return counts, head, size, versions, and settings that weaken durability."""

        def work(connection: Connection) -> Status:
            head = read_head(connection)
            return Status(
                url=self.url,
                head=head,
                counts=queries.counts(connection),
                retired=queries.count_retired(connection),
                size_bytes=size_of(self.file),
                versions={"format": str(head.format), **versions(connection)},
                warnings=[str(each) for each in self.database.backend.weaknesses(connection)],
            )

        return self.database.read(work)


def _filters(status: object, key_type: object) -> dict[str, str]:
    filters = {}
    if status is not None:
        filters["status"] = CertificateStatus.parse(status).value
    if key_type is not None:
        filters["key_type"] = CertType.parse(key_type).value
    return filters


def _position(connection: Connection, place: int | datetime | None, default: int) -> int:
    if place is None:
        return default
    if isinstance(place, datetime):
        naive_utc(place)  # refuses one without a time zone
        return position_at(connection, place, read_head(connection).size)
    return place


def _full_type(name: str | None) -> str | None:
    """Return the event type that a full or short name means."""
    if name is None or name in EVENT_TYPES:
        return name
    short = {full.split(".")[-2]: full for full in EVENT_TYPES} | {
        "crl": "certledger.crl.published.v1"
    }
    found = short.get(name.lower())
    if found is None and "." not in name:
        message = f"unknown event type {name!r}; known are {', '.join(sorted(short))}"
        raise InvalidValue(message)
    return found or name
