"""Checkpoints: the size and the root of a log, signed by it (C2SP tlog-checkpoint)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from certledger.errors import EvidenceRefused, MalformedEvidence
from certledger.eventstore.merkle import EMPTY_ROOT, HASH_SIZE
from certledger.eventstore.tlog.encoding import SIZE_LIMIT, from_base64, from_decimal, to_base64
from certledger.eventstore.tlog.keys import VerifierKey
from certledger.eventstore.tlog.note import Note, NoteVerifier, Signature

_LINES: Final = 3
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: the tree of its first `size` entries has this root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Lines that other logs may add; opaque, and never written by certledger."""

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or _FORBIDDEN.search(line):
                message = f"a line of a checkpoint is empty or holds a control character: {line!r}"
                raise MalformedEvidence(message)
        if not 0 <= self.size < SIZE_LIMIT:
            message = f"the size of a checkpoint is 0 or more and below 2^64, not {self.size}"
            raise MalformedEvidence(message)
        if len(self.root) != HASH_SIZE:
            message = f"the root of a checkpoint has {len(self.root)} bytes, not {HASH_SIZE}"
            raise MalformedEvidence(message)
        if self.size == 0 and self.root != EMPTY_ROOT:
            message = f"the root of an empty log is {EMPTY_ROOT.hex()}, not {self.root.hex()}"
            raise MalformedEvidence(message)

    @classmethod
    def from_text(cls, text: str) -> Checkpoint:
        """Read the text of a note.

        Raises `MalformedEvidence`.
        """
        lines = text.split("\n")
        if len(lines) <= _LINES or lines.pop():
            message = "a checkpoint has the lines origin, size and root, each with a line feed"
            raise MalformedEvidence(message)
        origin, size, root, *extensions = lines
        return cls(
            origin,
            from_decimal(size, "size of the checkpoint"),
            from_base64(root, "root of the checkpoint"),
            tuple(extensions),
        )

    def to_text(self) -> str:
        """Write the text that is signed."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint that was verified, and the lines by which it was, one a key."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]


class Trust(Protocol):
    """Decides which checkpoints are believed: `TrustedLog`, or a `Policy`."""

    def open(self, data: bytes) -> OpenedCheckpoint:
        """Verify a signed checkpoint; raise `EvidenceError` where it is not to be believed."""


class TrustedLog:
    """Believes what a log signs with one of its keys, for its own origin only."""

    def __init__(self, origin: str, keys: Sequence[VerifierKey]) -> None:
        """Trust keys of type 0x01; raises `MalformedEvidence` for others."""
        self.origin = origin
        self._verifiers = [NoteVerifier(key) for key in keys]

    def open(self, data: bytes) -> OpenedCheckpoint:
        """Verify a signed checkpoint.

        Raises `MalformedEvidence` or `EvidenceRefused`.
        """
        opened = Note.from_bytes(data).open(self._verifiers)
        checkpoint = Checkpoint.from_text(opened.text)
        if checkpoint.origin != self.origin:
            message = (
                f"the checkpoint is of the log {checkpoint.origin!r}, not of {self.origin!r}, "
                "although a known key signed it"
            )
            raise EvidenceRefused(message)
        return OpenedCheckpoint(checkpoint, opened.signatures)
