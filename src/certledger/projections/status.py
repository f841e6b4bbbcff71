"""The status of a certificate as the read model shows it."""

from __future__ import annotations

from enum import StrEnum

from certledger.errors import InvalidValue


class CertificateStatus(StrEnum):
    """Values of the column `status`."""

    VALID = "valid"
    REVOKED = "revoked"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    """No such record; never stored."""

    @classmethod
    def parse(cls, value: object) -> CertificateStatus:
        """Understand a member or its value in any case.

        Raises `InvalidValue` with the list of the known ones.
        """
        try:
            return cls(str(getattr(value, "value", value)).strip().lower())
        except ValueError as error:
            known = ", ".join(member.value for member in cls)
            message = f"unknown status {value!r}; known are {known}"
            raise InvalidValue(message) from error
