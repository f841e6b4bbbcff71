"""The typed API of a registry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509 import ReasonFlags
from sqlalchemy import Connection
from sqlalchemy.engine import URL

from certledger import bulk, crl
from certledger.auto_signing import AutoSigner
from certledger.bulk import Done, Outcome, Registration
from certledger.errors import CommandIdReused, InvalidValue, UnknownSerial
from certledger.eventstore import sqlite
from certledger.eventstore.actor import current_actor
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.certificates import describe_certificate, load_certificate
from certledger.eventstore.database import RETRY_SECONDS, Database
from certledger.eventstore.event import Event, check_origin
from certledger.eventstore.events import EVENT_TYPES, Deleted
from certledger.eventstore.head import Head, name_log, read_head
from certledger.eventstore.lifecycle import Command, Delete, Issue, Revoke, stream_of
from certledger.eventstore.reader import END, PAGE, LogQuery, position_at, read_log, read_stream
from certledger.eventstore.reasons import reason_name
from certledger.eventstore.times import Clock, naive_utc, utc_now
from certledger.projections import compare, queries
from certledger.projections.compare import Difference, Progress, RebuildReport
from certledger.projections.models import CertificateRecord
from certledger.projections.queries import RevokedRow
from certledger.projections.schema import prepare, versions
from certledger.projections.status import CertificateStatus
from certledger.projections.verifying.verify import Finding, verify
from certledger.unit_of_work import (
    Context,
    UnitOfWork,
    check_command_id,
    id_of_command,
    present_serial,
    random_id,
    recorded_before,
    repeat,
)

DEFAULT_LOGGER: Final = logging.getLogger("certledger")
"""The library's logger; it prints nothing unless the application asks."""
DEFAULT_LOGGER.addHandler(logging.NullHandler())

DEFAULT_URL: Final = "sqlite:///ca_repository.db"

Records = list[CertificateRecord]
_LAST = datetime.max  # noqa: DTZ901 # columns are naive


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


class Ledger:
    """A registry of certificates: commands that append events, and queries.

    Who makes a change, and why, comes from `acting_as`. All datetimes are aware; those of records
    are naive UTC, as the contract of `BaseDB` has them. Safe to use from several threads; a child
    process made by `os.fork` may go on using it.
    """

    def __init__(
        self,
        url: str | URL | Database = DEFAULT_URL,
        *,
        create: bool = True,
        origin: str | None = None,
        clock: Clock = utc_now,
        new_id: Callable[[], str] = random_id,
        allow_clock_behind: bool = False,
        retry_seconds: float = RETRY_SECONDS,
        logger: logging.Logger | None = None,
        signer: AutoSigner | None = None,
    ) -> None:
        """Open the registry, or make one where there is nothing and `create` allows.

        `origin` names a registry in every event for all time, for example
        `ca.example.org/registry`; it can be given until the first event, and is
        `certledger.invalid/<UUID>` otherwise. `retry_seconds` is how long a locked database is
        tried again. `allow_clock_behind` permits appending although the clock is more than 24
        hours behind the log. `signer` signs checkpoints after changes.

        Raises `NotARegistry`, `FormatTooNew`, `ReadOnlyRegistry`, `StorageUnavailable`,
        `InvalidValue`, or `SigningRefused` where the signer's key has another name than the
        registry.
        """
        if origin is not None:
            check_origin(origin)
        self.database = (
            url if isinstance(url, Database) else Database(url, retry_seconds=retry_seconds)
        )
        self._context = Context(clock, new_id, allow_clock_behind)
        self._logger = logger or DEFAULT_LOGGER
        self._signer = signer
        try:
            prepare(
                self.database,
                create=create,
                origin=origin or f"certledger.invalid/{uuid4()}",
                clock=clock,
            )
            if origin is not None:
                self._name(origin)
            if signer is not None:
                signer.require_log(self.head().origin)
        except BaseException:
            self.database.close()
            raise

    def _name(self, origin: str) -> None:
        present = self.head().origin
        if present == origin:
            return
        if not self.database.write(lambda connection, _: name_log(connection, origin)):
            message = (
                f"the registry's origin is {present!r} and cannot become {origin!r}: its events "
                "bear it"
            )
            raise InvalidValue(message)

    def __enter__(self) -> Self:
        """Use the registry in a `with` block; it is closed at the end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the registry."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

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
        return self._context.clock()

    def _note(self, notes: list[str]) -> None:
        for note in notes:
            self._logger.warning("%s", note)

    def _committed(self, notes: list[str], size: int | None = None) -> None:
        """Do what follows a change; `size` is the log's after it, where it is known."""
        self._note(notes)
        if self._signer is not None:
            self._signer.after_change(self.database, self._context.clock, self._logger, size)

    # Commands

    def issue(
        self,
        certificate: x509.Certificate | bytes | str,
        *,
        key_type: object = CertType.DEVICE,
        uuid: object = None,
        command_id: str | None = None,
    ) -> Event:
        """Register a certificate, given as itself, DER or PEM.

        Raises `InvalidCertificate`, `InvalidValue`, `DuplicateSerial`, `DuplicateUuid`,
        `IllegalTransition` (deleted while revoked, and within its validity), `CommandIdReused`,
        `EntryTooLarge`, `ClockBehindLog` or `StorageError`.
        """
        data = describe_certificate(
            load_certificate(certificate),
            key_type=key_type,
            uuid=uuid,
            comment=current_actor().comment,
        )
        command = Issue(data)
        return self._run(lambda _unit, _found: command, command_id)

    def issue_many(
        self, certificates: Iterable[Registration], *, progress: Done | None = None
    ) -> Iterator[Outcome]:
        """Register many certificates, 1,000 in a transaction, and yield an outcome for each.

        Nothing is registered until the result is iterated. A refused certificate does not hold
        up the others. Raises `StorageError`; what was yielded before stays registered.
        """
        return bulk.issue_many(
            self.database, self._context, certificates, current_actor(), self._committed, progress
        )

    def revoke(
        self,
        serial: int,
        reason: ReasonFlags | str | int | None = None,
        *,
        revocation_date: datetime | None = None,
        invalidity_date: datetime | None = None,
        hold_instruction: str | None = None,
        requested_at: datetime | None = None,
        after_expiry: bool = False,
        command_id: str | None = None,
    ) -> Event:
        """Revoke a valid certificate for a reason of RFC 5280 §5.3.1 (flag, name or code).

        `revocation_date` is the present unless given, and never later; `invalidity_date` is when
        the key is thought to have become compromised (§5.3.2); `requested_at` is when the
        revocation was asked for. `after_expiry` records the late knowledge that an expired
        certificate had been revoked.

        Raises `UnknownSerial`, `IllegalTransition`, `InvalidValue`, `CommandIdReused`,
        `ClockBehindLog` or `StorageError`.
        """
        command = Revoke(
            serial=serial,
            reason=reason_name(reason),
            revocation_date=revocation_date,
            invalidity_date=invalidity_date,
            hold_instruction=hold_instruction,
            requested_at=requested_at,
            comment=current_actor().comment,
            after_expiry=after_expiry,
        )
        return self._run(lambda _unit, _found: command, command_id)

    def expire_due(self, *, progress: Done | None = None) -> int:
        """Expire every valid certificate whose end is past; return how many there were.

        Raises `ClockBehindLog` or `StorageError`; what `progress` was told before stays done.
        """
        return bulk.expire_due(
            self.database, self._context, current_actor(), self._committed, progress
        )

    def delete(
        self,
        serial: int | None = None,
        *,
        uuid: str | None = None,
        command_id: str | None = None,
    ) -> Event:
        """Remove a certificate, named by its serial number or its uuid, from the table.

        Its history stays, and so does a revocation. Raises `UnknownSerial`, `CommandIdReused`,
        `InvalidValue`, `ClockBehindLog` or `StorageError`.
        """
        if (serial is None) == (uuid is None):
            message = "name the certificate by its serial number or by its uuid"
            raise InvalidValue(message)
        comment = current_actor().comment

        def command(unit: UnitOfWork, found: Event | None) -> Delete:
            if serial is not None:
                return Delete(serial, comment=comment)
            if found is None:
                return Delete(present_serial(unit, str(uuid)), uuid, comment)
            if isinstance(found.data, Deleted) and found.data.uuid == uuid:
                return Delete(found.data.serial, uuid, comment)
            holder = unit.holder_of(str(uuid))
            if holder is None:
                what = "data" if isinstance(found.data, Deleted) else "type"
                raise CommandIdReused(str(command_id), found.seq, what)
            return Delete(holder, uuid, comment)

        return self._run(command, command_id)

    def _run(
        self,
        command: Callable[[UnitOfWork, Event | None], Command],
        command_id: str | None,
    ) -> Event:
        """Execute a command of one event in a transaction of its own, once however often tried."""
        if command_id is not None:
            check_command_id(command_id)
        actor = current_actor()
        random = self._context.new_id()

        def work(connection: Connection, retrying: bool) -> tuple[Event, list[str]]:
            unit = UnitOfWork(connection, self._context)
            origin = unit.tail.head.origin
            event_id = random if command_id is None else id_of_command(origin, command_id)
            asked = retrying or command_id is not None
            found = recorded_before(connection, event_id) if asked else None
            if found is not None and command_id is None:
                return found, []
            wanted = command(unit, found)
            if found is not None and command_id is not None:
                return repeat(found, wanted, command_id), []
            event = unit.execute(wanted, event_id, actor)
            return event, unit.finish()

        event, notes = self.database.write(work)
        self._committed(notes, event.seq + 1)
        return event

    # Queries

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
                size_bytes=sqlite.size_of(self.file),
                versions={"format": str(head.format), **versions(connection)},
                warnings=sqlite.weaknesses(connection),
            )

        return self.database.read(work)

    def crl(
        self,
        ca_certificate: x509.Certificate,
        ca_key: CertificateIssuerPrivateKeyTypes,
        *,
        days: int = 7,
        number: int | None = None,
        strict: bool = False,
    ) -> crl.SignedCrl:
        """Sign a CRL of what the log says is revoked, and record it as published.

        It is valid for `days`; `number` must be greater than the last one, which it follows
        unless given. Where the table contradicts the log, the log is signed and the serials are
        named in the result; with `strict` nothing is signed.

        Raises `InvalidValue`, `CrlDisagreement`, `LogCorrupt` or another `StorageError`.
        """
        signed = crl.publish_crl(
            self.database,
            self._context,
            crl.Issuer(ca_certificate, ca_key),
            current_actor(),
            days=days,
            number=number,
            strict=strict,
        )
        self._committed([], signed.event.seq + 1)
        return signed

    # Checks

    def drift(self, progress: Progress | None = None) -> Iterator[Difference]:
        """Yield where the tables differ from what the log says; nothing is changed."""
        return compare.drift(self.database, progress)

    def rebuild(
        self,
        progress: Progress | None = None,
        on_difference: Callable[[Difference], None] | None = None,
        *,
        recreate: bool = False,
    ) -> RebuildReport:
        """Make the tables what the log says, changing only what differs.

        `on_difference` is told of each row after it was mended. `recreate` makes the tables
        themselves anew, where their structure is broken.

        Raises `LogCorrupt`, `UnknownEventType`, `ConstraintFailed` or another `StorageError`.
        """
        return compare.rebuild(self.database, progress, on_difference, recreate=recreate)

    def verify(self, progress: Progress | None = None) -> Iterator[Finding]:
        """Yield what contradicts itself in log and tables, and what is worth knowing."""
        return verify(self.database, progress)


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
