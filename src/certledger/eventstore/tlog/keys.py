"""Keys of signed notes: their names, ids and text forms (C2SP signed-note §Signatures).

A key is known by its name and its id together: the id has only 32 bits, and names can be chosen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from certledger.errors import KeyRefused, MalformedEvidence
from certledger.eventstore.tlog.encoding import from_base64, to_base64

KEY_ID_SIZE: Final = 4
SEED_SIZE: Final = 32

_NOT_IN_NAMES: Final = re.compile(r"[\x00-\x20+\ud800-\udfff]")
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")
_VKEY_PARTS: Final = 3
_PRIVATE: Final = "PRIVATE+KEY+"


class KeyKind(IntEnum):
    """What a key signs, and how: the type byte of signed notes."""

    ED25519 = 0x01
    """The text of a note."""
    COSIGNATURE = 0x04
    """A checkpoint and a time; Ed25519 (C2SP tlog-cosignature)."""
    ML_DSA_44 = 0x06
    """A cosignature that is known here but cannot be checked: its lines count as a stranger's."""


_PUBLIC_KEY_SIZE: Final = {
    KeyKind.ED25519: 32,
    KeyKind.COSIGNATURE: 32,
    KeyKind.ML_DSA_44: 1312,
}


def check_name(name: str) -> str:
    """Refuse what cannot be the name of a key: it is empty, or holds a blank, `+` or a control.

    Raises `MalformedEvidence`.
    """
    # Below U+0020 all are refused; above, `isspace` is the White_Space of Unicode.
    if not name or _NOT_IN_NAMES.search(name) or any(map(str.isspace, name)):
        message = "the name of a key is not empty, and holds no blank, no '+', no control character"
        raise MalformedEvidence(message)
    return name


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name."""

    name: str
    kind: KeyKind
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public_key) != _PUBLIC_KEY_SIZE[self.kind]:
            message = (
                f"a public key of type {self.kind:#04x} has {_PUBLIC_KEY_SIZE[self.kind]} bytes, "
                f"not {len(self.public_key)}"
            )
            raise MalformedEvidence(message)

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that begin this key's signatures."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key
        return sha256(named).digest()[:KEY_ID_SIZE]

    @classmethod
    def from_text(cls, text: str) -> VerifierKey:
        """Read a verifier key line, `name+id+key`; it has no line end.

        Raises `MalformedEvidence`, which does not repeat the text: it may be a private key.
        """
        # The base64 may hold more of them.
        parts = text.split("+", _VKEY_PARTS - 1)
        if len(parts) != _VKEY_PARTS or not _KEY_ID.fullmatch(parts[1]):
            message = "a verifier key is written name+id+key, the id as 8 lowercase hex digits"
            raise MalformedEvidence(message)
        name, key_id, encoded = parts
        typed = from_base64(encoded, "verifier key")
        kind = typed[0] if typed else 0
        if kind not in _PUBLIC_KEY_SIZE:
            message = f"the verifier key has the type {kind:#04x}, which is not known here"
            raise MalformedEvidence(message)
        key = cls(name, KeyKind(kind), typed[1:])
        if key.key_id.hex() != key_id:
            message = f"the verifier key has the id {key_id}, but its name and key make {key.id}"
            raise MalformedEvidence(message)
        return key

    def to_text(self) -> str:
        """Write the verifier key line, without a line end."""
        return f"{self.name}+{self.id}+{to_base64(bytes([self.kind]) + self.public_key)}"

    @property
    def id(self) -> str:
        """The key id as 8 hex digits."""
        return self.key_id.hex()

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Tell whether this is the Ed25519 signature of these bytes (RFC 8032)."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A private Ed25519 key with its name. Nothing but `to_text` gives the secret away."""

    __slots__ = ("_seed", "verifier_key")

    def __init__(self, name: str, kind: KeyKind, seed: bytes) -> None:
        if kind not in {KeyKind.ED25519, KeyKind.COSIGNATURE} or len(seed) != SEED_SIZE:
            message = f"a signing key is Ed25519 (type 0x01 or 0x04), from {SEED_SIZE} bytes"
            raise KeyRefused(message)
        self._seed = seed
        public_key = self._private_key().public_key().public_bytes_raw()
        self.verifier_key = VerifierKey(name, kind, public_key)

    @classmethod
    def generate(
        cls, name: str, kind: KeyKind, random: Callable[[int], bytes] = os.urandom
    ) -> SigningKey:
        """Make a new key."""
        return cls(name, kind, random(SEED_SIZE))

    @classmethod
    def from_text(cls, text: str) -> SigningKey:
        """Read `PRIVATE+KEY+name+id+key` as Go's note package writes it; it has no line end.

        Raises `KeyRefused`, which repeats nothing of the text.
        """
        parts = text.removeprefix(_PRIVATE).split("+", _VKEY_PARTS - 1)
        if not text.startswith(_PRIVATE) or len(parts) != _VKEY_PARTS:
            _refuse("it does not read PRIVATE+KEY+name+id+key")
        name, key_id, encoded = parts
        try:
            typed = from_base64(encoded, "private key")
            kind = KeyKind(typed[0] if typed else 0)
            key = cls(name, kind, typed[1:])
        except (MalformedEvidence, KeyRefused, ValueError):
            # Outside of the block: what was raised here must not be told as its cause.
            key = None
        if key is None:
            _refuse("its name, type or key is none that can sign")
        if key.verifier_key.id != key_id:
            _refuse("its id is not what its name and key make")
        return key

    def to_text(self) -> str:
        """Write the secret line that `from_text` reads."""
        public = self.verifier_key
        secret = to_base64(bytes([public.kind]) + self._seed)
        return f"{_PRIVATE}{public.name}+{public.id}+{secret}"

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of these bytes."""
        return self._private_key().sign(message)

    def __repr__(self) -> str:
        return f"<SigningKey of {self.verifier_key.to_text()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is not pickled: use a key file")

    def _private_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._seed)


def _refuse(why: str) -> NoReturn:
    message = f"not a private key that can be used here: {why}"
    raise KeyRefused(message)
