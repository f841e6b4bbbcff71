"""The typed API of a registry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
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
from certledger.errors import CommandIdReused, InvalidValue
from certledger.eventstore.actor import current_actor
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.certificates import describe_certificate, load_certificate
from certledger.eventstore.database import RETRY_SECONDS, Database, database_of
from certledger.eventstore.event import Event, check_origin
from certledger.eventstore.events import Deleted
from certledger.eventstore.head import name_log
from certledger.eventstore.lifecycle import Command, Delete, Issue, Revoke
from certledger.eventstore.reasons import reason_name
from certledger.eventstore.times import Clock, utc_now
from certledger.ledger_reader import LedgerReader, Status
from certledger.projections import compare
from certledger.projections.compare import Difference, Progress, RebuildReport
from certledger.projections.schema import prepare
from certledger.projections.verifying.verify import Finding, Outside, verify
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

__all__ = ["DEFAULT_LOGGER", "DEFAULT_URL", "Ledger", "Status"]

DEFAULT_LOGGER: Final = logging.getLogger("certledger")
"""The library's logger; it prints nothing unless the application asks."""
DEFAULT_LOGGER.addHandler(logging.NullHandler())

DEFAULT_URL: Final = "sqlite:///ca_repository.db"


class Ledger(LedgerReader):
    """A registry of certificates: commands that append events, and queries.

    Who makes a change, and why, comes from `acting_as`. All datetimes are aware; those of records
    are naive UTC, as the contract of `BaseDB` has them. Safe to use from several threads; a child
    process made by `os.fork` may go on using it.
    """

    def __init__(
        self,
        url: str | URL | Database = DEFAULT_URL,
        *,
        schema: str | None = None,
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

        `schema` is where the registry lies in a PostgreSQL database that it shares with others.
        `origin` names a registry in every event for all time, for example
        `ca.example.org/registry`; it can be given until the first event, and is
        `certledger.invalid/<UUID>` otherwise. `retry_seconds` is how long a locked database is
        tried again. `allow_clock_behind` permits appending although the clock is more than 24
        hours behind the log. `signer` signs checkpoints after changes.

        Raises `NotARegistry`, `FormatTooNew`, `UpgradeNeeded` where `certledger db upgrade` must
        be run first, `IncompleteCopy`, `ReadOnlyRegistry`, `StorageUnavailable`, `InvalidValue`, or
        `SigningRefused` where the signer's key has another name than the registry.
        """
        if origin is not None:
            check_origin(origin)
        database = database_of(url, schema=schema, retry_seconds=retry_seconds)
        super().__init__(database, clock)
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
        return self._run(command, command_id)

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
        return self._run(command, command_id)

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
        if serial is not None:
            return self._run(Delete(serial, comment=comment), command_id)

        def command(unit: UnitOfWork, found: Event | None) -> Delete:
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
        command: Command | Callable[[UnitOfWork, Event | None], Command],
        command_id: str | None,
    ) -> Event:
        """Execute a command of one event in a transaction of its own, once however often tried.

        It may be one that only the log tells, and what an earlier try recorded.
        """
        if command_id is not None:
            check_command_id(command_id)
        actor = current_actor()
        random = self._context.new_id()

        def work(connection: Connection, retrying: bool) -> tuple[Event, list[str]]:
            asked = retrying or command_id is not None
            ahead = () if asked or callable(command) else (command,)
            unit = UnitOfWork(connection, self._context, ahead)
            origin = unit.tail.head.origin
            event_id = random if command_id is None else id_of_command(origin, command_id)
            found = recorded_before(connection, event_id) if asked else None
            if found is not None and command_id is None:
                return found, []
            wanted = command(unit, found) if callable(command) else command
            if found is not None and command_id is not None:
                return repeat(found, wanted, command_id), []
            unit.expect([wanted])
            event = unit.execute(wanted, event_id, actor)
            return event, unit.finish()

        event, notes = self.database.write(work)
        self._committed(notes, event.seq + 1)
        return event

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

    def verify(
        self, progress: Progress | None = None, *, outside: Outside | None = None, jobs: int = 1
    ) -> Iterator[Finding]:
        """Yield what contradicts itself in log and tables, and what is worth knowing.

        `outside` is what the log must agree with too: keys, and checkpoints that others have kept.
        With `jobs` over 1 so many processes check the entries; each of them imports the program's
        main module, as `multiprocessing` does.

        Raises `StorageError` where the database cannot be read, `ChildProcessError` where a
        process was killed.
        """
        return verify(self.database, progress, outside=outside, jobs=jobs)
