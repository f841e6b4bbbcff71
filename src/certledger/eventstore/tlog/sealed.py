"""A secret line of text under a passphrase, as JSON: scrypt (RFC 7914), then AES-256-GCM.

The PKCS#8 writer of `cryptography` offers no KDF that costs an attacker memory.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from certledger.errors import InvalidValue, KeyRefused, MalformedEvidence
from certledger.eventstore.tlog.encoding import from_base64, to_base64

FORMAT: Final = "certledger-key-1"

_SALT_SIZE: Final = 16
_NONCE_SIZE: Final = 12
_KEY_SIZE: Final = 32
_BLOCK: Final = 128
"""scrypt needs this many bytes, times r, for each of its n steps."""
_MAX_MEMORY: Final = 2**28
_MAX_LANES: Final = 4
_NUMBERS: Final = ("n", "r", "p")
_TEXTS: Final = ("format", "kdf", "salt", "cipher", "nonce", "ciphertext")
_NAMED: Final = {"format": FORMAT, "kdf": "scrypt", "cipher": "aes-256-gcm"}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess of the passphrase costs: 128 * n * r bytes, p times over."""

    n: int = 2**17
    r: int = 8
    p: int = 1

    def __post_init__(self) -> None:
        n, r, p = self.n, self.r, self.p
        # RFC 7914 §2: n is a power of two, and less than 2^(128 * r / 8).
        sound = r > 0 and n > 1 and n & (n - 1) == 0 and n.bit_length() <= _BLOCK // 8 * r
        # A file from elsewhere must not take all the memory or hours of those who open it.
        bounded = _BLOCK * n * r <= _MAX_MEMORY and 0 < p <= _MAX_LANES
        if not sound or not bounded:
            message = (
                f"scrypt with n={n}, r={r}, p={p} is refused: n is a power of two, "
                f"n * r at most {_MAX_MEMORY // _BLOCK}, p at most {_MAX_LANES}"
            )
            raise InvalidValue(message)


def seal(
    secret: str, passphrase: bytes, cost: Cost, random: Callable[[int], bytes] = os.urandom
) -> bytes:
    """Encrypt a secret under a passphrase, as one JSON object.

    Raises `InvalidValue` for an empty passphrase.
    """
    if not passphrase:
        raise InvalidValue("an empty passphrase protects nothing")
    salt, nonce = random(_SALT_SIZE), random(_NONCE_SIZE)
    cipher = AESGCM(_derive(passphrase, salt, cost))
    fields = {
        "format": FORMAT,
        "kdf": _NAMED["kdf"],
        "n": cost.n,
        "r": cost.r,
        "p": cost.p,
        "salt": to_base64(salt),
        "cipher": _NAMED["cipher"],
        "nonce": to_base64(nonce),
        "ciphertext": to_base64(cipher.encrypt(nonce, secret.encode(), FORMAT.encode())),
    }
    return json.dumps(fields, indent=2).encode() + b"\n"


def unseal(data: bytes, ask: Callable[[], bytes]) -> str:
    """Decrypt what `seal` made; the passphrase is asked for once the file is known to be sound.

    Raises `KeyRefused`.
    """
    fields = _read(data)
    try:
        cost = Cost(*(fields[name] for name in _NUMBERS))
        salt, nonce, ciphertext = (
            from_base64(fields[name], name) for name in ("salt", "nonce", "ciphertext")
        )
    except (InvalidValue, MalformedEvidence) as error:
        message = f"the encrypted key is damaged: {error}"
        raise KeyRefused(message) from error
    if len(salt) != _SALT_SIZE or len(nonce) != _NONCE_SIZE:
        _refuse("the salt or the nonce has another length")
    secret = _decrypt(AESGCM(_derive(ask(), salt, cost)), nonce, ciphertext)
    if secret is None:
        raise KeyRefused("the passphrase is wrong, or the encrypted key is damaged")
    return secret


def _read(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data.decode("utf-8"), object_pairs_hook=_object)
    # Deep nesting ends in a RecursionError.
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or fields.keys() != {*_NUMBERS, *_TEXTS}:
        _refuse("it is no JSON object with the members of the format")
    # `True` is an int for Python, not for the format.
    numbers = all(type(fields[name]) is int for name in _NUMBERS)
    if not numbers or not all(isinstance(fields[name], str) for name in _TEXTS):
        _refuse("a member has another type")
    for name, value in _NAMED.items():
        if fields[name] != value:
            _refuse(f"{name} is not {value!r}; it may be of a newer version")
    return fields


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if any(times > 1 for times in Counter(name for name, _ in pairs).values()):
        raise ValueError("a member comes twice")
    return dict(pairs)


def _derive(passphrase: bytes, salt: bytes, cost: Cost) -> bytes:
    return Scrypt(salt=salt, length=_KEY_SIZE, n=cost.n, r=cost.r, p=cost.p).derive(passphrase)


def _decrypt(cipher: AESGCM, nonce: bytes, ciphertext: bytes) -> str | None:
    try:
        return cipher.decrypt(nonce, ciphertext, FORMAT.encode()).decode("utf-8")
    except (InvalidTag, ValueError):
        return None


def _refuse(why: str) -> NoReturn:
    message = f"the encrypted key is damaged: {why}"
    raise KeyRefused(message)
