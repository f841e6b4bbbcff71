"""Cosignatures: a witness says that, at this time, a checkpoint extends all that it saw before
(C2SP tlog-cosignature, Ed25519, type 0x04).

Signing one is a promise. Verify the consistency with the last cosigned checkpoint first.
"""

from __future__ import annotations

import struct
from typing import Final

from certledger.errors import EvidenceRefused, InvalidValue
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.keys import KeyKind, SigningKey, VerifierKey
from certledger.eventstore.tlog.note import refuse_signature, require_kind

MAX_TIMESTAMP: Final = 2**63 - 1

_TIMESTAMPED: Final = struct.Struct(">Q64s")


class CosignatureVerifier:
    """Checks a witness's cosignatures."""

    def __init__(self, key: VerifierKey) -> None:
        require_kind(key, KeyKind.COSIGNATURE)
        self.key = key

    def check(self, text: str, signature: bytes) -> None:
        """Raise `EvidenceRefused` unless the witness cosigned this text."""
        timestamp = timestamp_of(signature)
        if not self.key.verifies(_message(text, timestamp), signature[-64:]):
            refuse_signature(self.key)


class CosignatureSigner:
    """Makes a witness's cosignatures, all with the time that it is given."""

    def __init__(self, key: SigningKey, timestamp: int) -> None:
        """Take the time as POSIX seconds."""
        require_kind(key.verifier_key, KeyKind.COSIGNATURE)
        if not 0 <= timestamp <= MAX_TIMESTAMP:
            message = f"the time {timestamp} is not in POSIX seconds from 0 to 2^63 - 1"
            raise InvalidValue(message)
        self.key = key.verifier_key
        self._signing_key = key
        self._timestamp = timestamp

    def sign(self, text: str) -> bytes:
        """Return the cosignature of a checkpoint's text, without the key id.

        Raises `MalformedEvidence` for any other text.
        """
        Checkpoint.from_text(text)
        signature = self._signing_key.sign(_message(text, self._timestamp))
        return _TIMESTAMPED.pack(self._timestamp, signature)


def timestamp_of(signature: bytes) -> int:
    """Return the POSIX seconds in the signature part of a cosignature, which may be false.

    Raises `EvidenceRefused` for what cannot be a cosignature.
    """
    if len(signature) != _TIMESTAMPED.size:
        message = f"a cosignature has {_TIMESTAMPED.size} bytes, this one {len(signature)}"
        raise EvidenceRefused(message)
    timestamp = int(_TIMESTAMPED.unpack(signature)[0])
    if timestamp > MAX_TIMESTAMP:
        message = f"the time of the cosignature, {timestamp}, is above 2^63 - 1"
        raise EvidenceRefused(message)
    return timestamp


def _message(text: str, timestamp: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()
