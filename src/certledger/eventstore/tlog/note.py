"""Signed notes: a text, an empty line, and lines of signatures (C2SP signed-note)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from certledger.errors import EvidenceRefused, MalformedEvidence
from certledger.eventstore.tlog.encoding import from_base64, to_base64
from certledger.eventstore.tlog.keys import (
    KEY_ID_SIZE,
    KeyKind,
    SigningKey,
    VerifierKey,
    check_name,
)

MAX_SIGNATURES: Final = 100
"""A note with more is refused: each line costs its reader work. The specification wants 16."""

_DASH: Final = "\N{EM DASH} "
_FIELDS: Final = 2
_FORBIDDEN: Final = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")


class Verifier(Protocol):
    """Checks the signatures of one key."""

    @property
    def key(self) -> VerifierKey:
        """The key whose lines it checks."""

    def check(self, text: str, signature: bytes) -> None:
        """Raise `EvidenceRefused` unless the key signed this text."""


class Signer(Protocol):
    """Signs with one key."""

    @property
    def key(self) -> VerifierKey:
        """The key that verifies what this one signs."""

    def sign(self, text: str) -> bytes:
        """Return the signature, without the key id."""


class NoteVerifier:
    """Checks plain Ed25519 signatures of a text, as logs make them (type 0x01)."""

    def __init__(self, key: VerifierKey) -> None:
        require_kind(key, KeyKind.ED25519)
        self.key = key

    def check(self, text: str, signature: bytes) -> None:
        """Raise `EvidenceRefused` unless the key signed this text."""
        if not self.key.verifies(text.encode(), signature):
            refuse_signature(self.key)


class NoteSigner:
    """Makes plain Ed25519 signatures of a text, as logs do (type 0x01)."""

    def __init__(self, key: SigningKey) -> None:
        require_kind(key.verifier_key, KeyKind.ED25519)
        self.key = key.verifier_key
        self._signing_key = key

    def sign(self, text: str) -> bytes:
        """Return the signature, without the key id."""
        return self._signing_key.sign(text.encode())


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: whose it is said to be, and the bytes that may prove it."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.key_id) != KEY_ID_SIZE or not self.signature:
            message = "a signature line holds the 4 bytes of a key id and at least one byte more"
            raise MalformedEvidence(message)

    @classmethod
    def from_text(cls, line: str) -> Signature:
        """Read a line, without its end.

        Raises `MalformedEvidence`.
        """
        fields = line.removeprefix(_DASH).split(" ")
        if not line.startswith(_DASH) or len(fields) != _FIELDS:
            message = "a signature line reads: em dash, blank, name, blank, base64"
            raise MalformedEvidence(message)
        data = from_base64(fields[1], "signature line")
        return cls(fields[0], data[:KEY_ID_SIZE], data[KEY_ID_SIZE:])

    def to_text(self) -> str:
        """Write the line, without its end."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.signature)}"

    def is_of(self, key: VerifierKey) -> bool:
        """Tell whether the line claims to be of this key."""
        return (self.name, self.key_id) == (key.name, key.key_id)


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note that was verified: its text, and the lines that known keys signed, one a key."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A well-formed note. Nothing in its text is true before `open` has verified it."""

    text: str
    """It ends in a line feed."""
    signatures: tuple[Signature, ...] = ()
    """Without any, the note can be signed but not written."""

    def __post_init__(self) -> None:
        found = _FORBIDDEN.search(self.text)
        if found:
            message = f"a note holds the forbidden character U+{ord(found.group()):04X}"
            raise MalformedEvidence(message)
        if not self.text.endswith("\n"):
            raise MalformedEvidence("the text of a note ends in a line feed")
        _check_count(len(self.signatures))

    @classmethod
    def from_bytes(cls, data: bytes) -> Note:
        """Read a note strictly: it is written back as exactly these bytes.

        Raises `MalformedEvidence`.
        """
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"a note is UTF-8, which breaks at byte {error.start}"
            raise MalformedEvidence(message) from error
        # The last empty line divides: the text itself may hold more.
        text, empty_line, lines = whole.rpartition("\n\n")
        if not empty_line or not lines.endswith("\n"):
            message = "a note ends in an empty line and complete signature lines"
            raise MalformedEvidence(message)
        _check_count(lines.count("\n"))
        signatures = tuple(map(Signature.from_text, lines[:-1].split("\n")))
        return cls(text + "\n", signatures)

    def to_bytes(self) -> bytes:
        """Write the note.

        Raises `MalformedEvidence` where nobody has signed it.
        """
        if not self.signatures:
            raise MalformedEvidence("a note without a signature is none: sign it first")
        lines = "".join(f"{signature.to_text()}\n" for signature in self.signatures)
        return f"{self.text}\n{lines}".encode()

    def open(self, verifiers: Iterable[Verifier]) -> OpenedNote:
        """Verify every line of a known key; lines of others are passed over.

        Raises `EvidenceRefused` where one of them fails, or none is there.
        """
        known = _by_name_and_id(verifiers)
        verified: dict[tuple[str, bytes], Signature] = {}
        for signature in self.signatures:
            whose = (signature.name, signature.key_id)
            if whose in known:
                known[whose].check(self.text, signature.signature)
                verified.setdefault(whose, signature)
        if not verified:
            keys = ", ".join(f"{name}+{key_id.hex()}" for name, key_id in known) or "none"
            signers = ", ".join(f"{line.name}+{line.key_id.hex()}" for line in self.signatures)
            message = f"no known key signed this: known are {keys}, signed have {signers}"
            raise EvidenceRefused(message)
        return OpenedNote(self.text, tuple(verified.values()))

    def signed(self, signer: Signer) -> Note:
        """Return the note with the signer's line at the end, in place of older ones of its key."""
        key = signer.key
        line = Signature(key.name, key.key_id, signer.sign(self.text))
        others = (other for other in self.signatures if not other.is_of(key))
        return Note(self.text, (*others, line))


def _by_name_and_id(verifiers: Iterable[Verifier]) -> dict[tuple[str, bytes], Verifier]:
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        key = verifier.key
        other = known.setdefault((key.name, key.key_id), verifier).key
        # An id has 32 bits: whoever wants one twice can have it, to let one line count for two.
        if other != key:
            message = f"two known keys are both {key.name}+{key.id}: trust one of them only"
            raise EvidenceRefused(message)
    return known


def require_kind(key: VerifierKey, kind: KeyKind) -> None:
    """Refuse a key of another type: each signs other bytes."""
    if key.kind is not kind:
        message = f"the key of {key.name} has the type {key.kind:#04x}; {kind:#04x} is needed here"
        raise MalformedEvidence(message)


def refuse_signature(key: VerifierKey) -> None:
    """Raise `EvidenceRefused` for a line of a known key that the key did not sign."""
    message = f"the signature of {key.name}+{key.id} does not verify: the text was not signed so"
    raise EvidenceRefused(message)


def _check_count(count: int) -> None:
    if count > MAX_SIGNATURES:
        message = f"the note has {count} signature lines; at most {MAX_SIGNATURES} are read"
        raise MalformedEvidence(message)
