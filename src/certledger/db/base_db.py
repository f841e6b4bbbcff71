"""`BaseDB`: what those who issue, revoke and publish need of a certificate registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any
from uuid import UUID

from cryptography import x509

from certledger.db.const import RevokeStatus
from certledger.db.drop_in import introduce
from certledger.eventstore.cert_type import CertType
from certledger.projections.models import CertificateRecord

__all__ = ["BaseDB"]


class BaseDB(ABC):
    """A certificate registry. Every argument may be given by its name or by its position.

    What is missing is None, never an exception. Serial numbers are integers; those of records
    are decimal strings.
    """

    @abstractmethod
    def register_cert_in_db(
        self,
        cert: x509.Certificate,
        uuid: str | UUID | None,
        key_type: CertType = CertType.DEVICE,
    ) -> bool:
        """Record a certificate as VALID, also an expired one, and return True once it is durable.

        A duplicate serial, a duplicate uuid, or any failure is logged, changes nothing and
        returns False. `uuid` names the folder of the certificate's files, None where there is
        none.

        Raises `IndexError` for a certificate whose subject has no common name.
        """

    @abstractmethod
    def get_by_serial(self, serial: int) -> CertificateRecord | None:
        """Return the record with this serial number, whatever its status."""

    @abstractmethod
    def get_by_name(self, common_name: str) -> CertificateRecord | None:
        """Return the VALID record with this common name.

        Of several, as there are during a rotation, the one that is not past its end, then the one
        whose validity began last, then the one registered last.
        """

    @abstractmethod
    def list_all(
        self,
        status: str | None = None,
        key_type: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[CertificateRecord]:
        """Return a page of the records that pass all of the filters, the newest first.

        An unknown status or key type and a negative limit or offset are logged and return [].
        """

    @abstractmethod
    def get_expiring(self, within_days: int = 30) -> list[CertificateRecord]:
        """Return the VALID records that end within so many days, the soonest first.

        Those past their end are not among them.
        """

    @abstractmethod
    def get_revoked_certificates(self) -> Generator[Any, None, None]:
        """Yield what a CRL lists: rows of serial_number, revocation_date, revocation_reason.

        Raises where the database fails: nothing must not look like "none are revoked".
        """

    @abstractmethod
    def revoke_certificate(
        self,
        serial_number: int,
        reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
    ) -> tuple[bool, RevokeStatus]:
        """Revoke the VALID certificate with this serial number, and tell how that ended."""

    @abstractmethod
    def delete_by_uuid(self, uuid: str | UUID | None) -> bool:
        """Delete the row with this uuid; the log keeps its history, and CRLs a revocation.

        Returns False where there is none. None and "" delete nothing.
        """

    @abstractmethod
    def update_status_expired(self) -> int:
        """Note as EXPIRED every VALID certificate past its end; return how many there were."""

    # Every isinstance() against an ABC asks for __class__. So tiny_ca's finds us registered even
    # where it was imported after the handler was made.
    @property  # type: ignore[misc] # read only, as nobody sets it
    def __class__(self) -> type[BaseDB]:
        introduce(BaseDB)
        return type(self)


introduce(BaseDB)
