"""The categories of certificates."""

from __future__ import annotations

from enum import Enum, StrEnum

from certledger.errors import InvalidValue


class CertType(StrEnum):
    """What a certificate is for."""

    USER = "user"
    SERVICE = "service"
    DEVICE = "device"
    INTERNAL = "internal"
    CA = "ca"

    @classmethod
    def parse(cls, value: object) -> CertType:
        """Understand a member, its value or name, or tiny_ca's members and codes (USR, SVC, DEV,
        INT, CA), in any case.

        Raises `InvalidValue` with the list of the known ones.
        """
        if isinstance(value, cls):
            return value
        text = value.value if isinstance(value, Enum) else value
        if isinstance(text, str):
            found = _SPELLINGS.get(text.strip().lower())
            if found is not None:
                return found
        known = ", ".join(member.value for member in cls)
        message = f"unknown key type {text!r}; known are {known}"
        raise InvalidValue(message)


_SPELLINGS = {member.value: member for member in CertType} | {
    "usr": CertType.USER,
    "svc": CertType.SERVICE,
    "dev": CertType.DEVICE,
    "int": CertType.INTERNAL,
}
