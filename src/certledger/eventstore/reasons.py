"""CRL reason codes (RFC 5280 §5.3.1): numbers, names, and `cryptography`'s flags."""

from __future__ import annotations

from typing import Final

from cryptography.x509 import ReasonFlags

from certledger.errors import InvalidValue

UNSPECIFIED: Final = 0

CODE_BY_NAME: Final = {
    "unspecified": 0,
    "keyCompromise": 1,
    "cACompromise": 2,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "certificateHold": 6,
    "privilegeWithdrawn": 9,
    "aACompromise": 10,
}
"""The reasons for which a certificate may be revoked. removeFromCRL (8) is missing on purpose: it
belongs to delta CRLs and takes a certificate off them."""

NAME_BY_CODE: Final = {code: name for name, code in CODE_BY_NAME.items()}
_NAME_BY_LOWER: Final = {name.lower(): name for name in CODE_BY_NAME}


def reason_name(reason: ReasonFlags | str | int | None) -> str:
    """Return the RFC 5280 name of a reason given as flag, name in any case, code, or None
    (unspecified).

    Raises `InvalidValue` for anything else, removeFromCRL included.
    """
    if reason is None:
        return NAME_BY_CODE[UNSPECIFIED]
    name: str | None = None
    if isinstance(reason, ReasonFlags):
        name = reason.value if reason.value in CODE_BY_NAME else None
    elif isinstance(reason, str):
        name = _NAME_BY_LOWER.get(reason.strip().lower())
    elif isinstance(reason, int) and not isinstance(reason, bool):
        name = NAME_BY_CODE.get(reason)
    if name is None:
        message = f"{reason!r} is no reason to revoke; known are {', '.join(CODE_BY_NAME)}"
        raise InvalidValue(message)
    return name


def reason_flag(code: int) -> ReasonFlags:
    """Return `cryptography`'s flag for a reason code of this table."""
    return ReasonFlags(NAME_BY_CODE[code])
