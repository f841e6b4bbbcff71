"""The registry as callers of the contract know it, for synchronous code."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from logging import Logger
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from cryptography import x509
from sqlalchemy.orm import Session, sessionmaker

from certledger.db.arguments import also_named, to_serial, to_window
from certledger.db.base_db import BaseDB
from certledger.db.const import RevokeStatus
from certledger.db.drop_in import introduce
from certledger.db.models import CertificateRecord, create_callers_tables
from certledger.db.results import Answers, NoCommonName, not_revoked
from certledger.errors import InvalidValue, UnknownSerial
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.certificates import common_name as common_name_of
from certledger.eventstore.certificates import load_certificate
from certledger.eventstore.database import Database
from certledger.ledger import DEFAULT_LOGGER, DEFAULT_URL, Ledger
from certledger.projections.queries import RevokedRow

__all__ = ["DatabaseManager", "SyncDBHandler"]

CRL_WINDOW: Final = timedelta(days=365)


class DatabaseManager:
    """A database and sessions on its read model.

    `create_all` makes the registry where there is none, and the tables that callers declared on
    `Base`; without it no DDL is issued, now or later. `schema` is where they are in a PostgreSQL
    database that is shared with others.
    """

    def __init__(
        self, db_url: str = DEFAULT_URL, create_all: bool = True, *, schema: str | None = None
    ) -> None:
        self._use(Database(db_url, schema=schema))
        if create_all:
            Ledger(self._database)
            create_callers_tables(self._database)

    @classmethod
    def over(cls, ledger: Ledger) -> Self:
        """Return a manager of the database of an open `Ledger`."""
        manager = cls.__new__(cls)
        manager._use(ledger.database)  # noqa: SLF001 # a second constructor
        create_callers_tables(ledger.database)
        return manager

    def _use(self, database: Database) -> None:
        self._database = database
        self._engine = database.engine
        self._sessions = sessionmaker(bind=self._engine)

    def session(self) -> Session:
        """Open a session, which is the caller's to commit and to close.

        It is meant for reading, and for writing the caller's own tables: `certledger verify`
        reports what is written to `certificates` past the log. An in-memory database has one
        connection: there, close the session before others go on.
        """
        return self._sessions()

    def close(self) -> None:
        """Close the connections."""
        self._database.close()


class SyncDBHandler(BaseDB):
    """The registry in a database, which is made where there is none.

    With `raise_errors` a refusal or failure raises its typed error after logging, where the
    contract has False, [], 0 or None. `logger` is by default `certledger.DEFAULT_LOGGER`, which
    prints nothing unless the application asks for it. `schema` is where the registry lies in a
    PostgreSQL database that it shares with others. Safe to use from several threads.

    Raises the `LedgerError` that says why the database cannot be opened.
    """

    def __init__(
        self,
        db_url: str,
        logger: Logger | None = None,
        *,
        raise_errors: bool = False,
        schema: str | None = None,
    ) -> None:
        ledger = Ledger(db_url, schema=schema, logger=logger)
        self._serve(lambda: ledger, logger, raise_errors=raise_errors)
        try:
            self._db = DatabaseManager.over(ledger)
        except BaseException:
            ledger.close()
            raise

    @classmethod
    def over(
        cls, ledger: Ledger, logger: Logger | None = None, *, raise_errors: bool = False
    ) -> Self:
        """Return a handler of an open `Ledger`, with that one's clock and other settings."""
        handler = cls.opened_by(lambda: ledger, logger, raise_errors=raise_errors)
        handler._db = DatabaseManager.over(ledger)  # noqa: SLF001 # as above
        return handler

    @classmethod
    def opened_by(
        cls,
        open_ledger: Callable[[], Ledger],
        logger: Logger | None = None,
        *,
        raise_errors: bool = False,
    ) -> Self:
        """Return a handler that asks for its `Ledger` in every call, and has nothing but calls.

        A call answers an error of opening as any other.
        """
        handler = cls.__new__(cls)
        handler._serve(open_ledger, logger, raise_errors=raise_errors)  # noqa: SLF001 # as above
        return handler

    def _serve(
        self, open_ledger: Callable[[], Ledger], logger: Logger | None, *, raise_errors: bool
    ) -> None:
        introduce(BaseDB)
        self._logger = DEFAULT_LOGGER if logger is None else logger
        self._open_ledger = open_ledger
        self._answers = Answers(self._logger, raise_errors=raise_errors)

    @property
    def _ledger(self) -> Ledger:
        return self._open_ledger()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._ledger.close()

    def register_cert_in_db(
        self,
        cert: x509.Certificate,
        uuid: str | UUID | None,
        key_type: CertType = CertType.DEVICE,
    ) -> bool:
        """Record a certificate; see `BaseDB`."""

        def work() -> bool:
            certificate = load_certificate(cert)
            _require_common_name(certificate)
            self._answers.changed(self._ledger.issue(certificate, key_type=key_type, uuid=uuid))
            return True

        def attempt() -> str:
            return (
                f"registering the certificate with serial {_serial_of(cert)}, uuid {_shown(uuid)}"
            )

        return self._answers.give(attempt, work, lambda _: False)

    def get_by_serial(self, serial: int) -> CertificateRecord | None:
        """Return the record with this serial number; see `BaseDB`."""

        def work() -> CertificateRecord | None:
            try:
                return self._ledger.get(to_serial(serial))
            except UnknownSerial:
                return None

        return self._answers.give(lambda: f"looking up serial {serial!r}", work, _none)

    def get_by_name(self, common_name: str) -> CertificateRecord | None:
        """Return the VALID record with this common name; see `BaseDB`."""
        return self._answers.give(
            lambda: f"looking up CN {common_name!r}",
            lambda: self._ledger.find(common_name),
            _none,
        )

    def list_all(
        self,
        status: str | None = None,
        key_type: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[CertificateRecord]:
        """Return a page of records, the newest first; see `BaseDB`."""
        return self._answers.give(
            lambda: f"listing certificates (status {status!r}, key type {key_type!r})",
            lambda: self._ledger.list(status=status, key_type=key_type, limit=limit, offset=offset),
            _empty,
        )

    def get_expiring(self, within_days: int = 30) -> list[CertificateRecord]:
        """Return the VALID records that end soon; see `BaseDB`."""
        return self._answers.give(
            lambda: f"listing what ends within {within_days!r} days",
            lambda: self._ledger.expiring(within_days),
            _empty,
        )

    def get_revoked_certificates(
        self, *, window: timedelta | None = CRL_WINDOW
    ) -> Generator[RevokedRow, None, None]:
        """Yield what a CRL lists; see `BaseDB`.

        `window` is how long ago a revocation may lie. With None every revoked certificate within
        its validity is listed, as RFC 5280 §3.3 demands of a CRL.
        """
        # A whole list before the first row, so that a failure cannot cut a CRL short.
        yield from self._answers.insist(
            lambda: "listing the revoked certificates",
            lambda: self._ledger.revoked(window=to_window(window)),
        )

    @also_named("serial", "serial_number")
    def revoke_certificate(
        self,
        serial_number: int,
        reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
    ) -> tuple[bool, RevokeStatus]:
        """Revoke a VALID certificate; see `BaseDB`.

        `reason` may also be a name as in RFC 5280 in any case, a code, or None (unspecified).
        The serial number may be given by the keyword `serial` too.
        """

        def work() -> tuple[bool, RevokeStatus]:
            self._answers.changed(self._ledger.revoke(to_serial(serial_number), reason))
            return True, RevokeStatus.OK

        return self._answers.give(
            lambda: f"revoking serial {serial_number!r}, reason {reason!r}", work, not_revoked
        )

    def delete_by_uuid(self, uuid: str | UUID | None) -> bool:
        """Delete the row with this uuid; see `BaseDB`."""

        def work() -> bool:
            if uuid is None or not str(uuid):
                message = "a uuid is needed; certificates without one are not deleted by it"
                raise InvalidValue(message)
            self._answers.changed(self._ledger.delete(uuid=str(uuid)))
            return True

        return self._answers.give(
            lambda: f"deleting the certificate with uuid {_shown(uuid)}", work, lambda _: False
        )

    def update_status_expired(self) -> int:
        """Note as EXPIRED what is past its end, and return how many; see `BaseDB`."""
        committed = 0

        def note(done: int) -> None:
            nonlocal committed
            committed = done

        def work() -> int:
            try:
                return self._ledger.expire_due(progress=note)
            finally:
                if committed:
                    self._answers.expired(committed)

        return self._answers.give(lambda: "noting expired certificates", work, lambda _: committed)


def _require_common_name(certificate: x509.Certificate) -> None:
    try:
        name = common_name_of(certificate)
    except (ValueError, TypeError):
        return  # unreadable: the ledger says what is wrong with it
    if name is None:
        message = "the certificate's subject has no common name"
        raise NoCommonName(message)


def _serial_of(cert: object) -> str:
    try:
        return str(getattr(cert, "serial_number", "unknown"))
    except Exception:  # noqa: BLE001 # what could not be registered may be anything
        return "unknown"


def _shown(uuid: object) -> str:
    return "None" if uuid is None else repr(str(uuid))


def _none(_error: Exception) -> None:
    return None


def _empty(_error: Exception) -> list[CertificateRecord]:
    return []
