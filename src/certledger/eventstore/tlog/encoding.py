"""Base64 and numbers in the one spelling that the formats allow.

Python's own readers are too kind for evidence: `int` takes signs, blanks and foreign digits,
`b64decode` skips characters, and both would give one file many spellings.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Final

from certledger.errors import MalformedEvidence

SIZE_LIMIT: Final = 2**64
"""Sizes and positions are below this: proofs and tile levels are those of 64 bits."""

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}")


def to_base64(data: bytes) -> str:
    """Write bytes as RFC 4648 §4 base64, with padding."""
    return b64encode(data).decode("ascii")


def from_base64(text: str, what: str) -> bytes:
    """Read exactly what `to_base64` writes.

    Raises `MalformedEvidence`, which names `what` and never repeats the text: it may be a secret.
    """
    try:
        data = b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        data = None
    # Encoding again also finds bits that are set although no byte needs them (RFC 4648 §3.5).
    if data is None or to_base64(data) != text:
        message = f"{what}: not base64 in the standard alphabet with padding"
        raise MalformedEvidence(message)
    return data


def from_decimal(text: str, what: str) -> int:
    """Read a number from 0 to 2^64 - 1 in ASCII digits without leading zeros.

    Raises `MalformedEvidence`.
    """
    if not _DECIMAL.fullmatch(text) or int(text) >= SIZE_LIMIT:
        message = f"{what}: {text[:40]!r} is no decimal number below 2^64 without leading zeros"
        raise MalformedEvidence(message)
    return int(text)
