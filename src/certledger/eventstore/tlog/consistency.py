"""Files that prove that a log only grew: a consistency proof with the new checkpoint, in the form
in which witnesses are asked for a cosignature (C2SP tlog-witness).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from certledger.errors import EvidenceRefused, MalformedEvidence
from certledger.eventstore.tlog.checkpoint import Checkpoint, OpenedCheckpoint, Trust
from certledger.eventstore.tlog.encoding import SIZE_LIMIT, from_base64, from_decimal, to_base64
from certledger.eventstore.tlog.proofs import check_consistency, check_lengths

MAX_HASHES: Final = 63
"""C2SP tlog-witness allows no more, and no tree below 2^63 leaves needs more."""

_OLD: Final = "old "


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """The proof that a log begins with an older one; nothing is true before `verify`."""

    old_size: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The new signed checkpoint, byte for byte."""

    def __post_init__(self) -> None:
        if not 0 <= self.old_size < SIZE_LIMIT:
            message = f"the old size is 0 or more and below 2^64, not {self.old_size}"
            raise MalformedEvidence(message)
        if len(self.hashes) > MAX_HASHES:
            message = f"the proof has {len(self.hashes)} hashes; at most {MAX_HASHES} are read"
            raise MalformedEvidence(message)
        check_lengths(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> ConsistencyProof:
        """Read a proof strictly: it is written back as exactly these bytes.

        The checkpoint in it is read when it is verified. Raises `MalformedEvidence`.
        """
        head, empty_line, checkpoint = data.partition(b"\n\n")
        if not empty_line or not head.isascii():
            message = "a consistency proof is ASCII up to the empty line before its checkpoint"
            raise MalformedEvidence(message)
        old, *lines = head.decode("ascii").split("\n")
        if not old.startswith(_OLD):
            message = f"a consistency proof begins with `old N`, not with {old[:40]!r}"
            raise MalformedEvidence(message)
        old_size = from_decimal(old.removeprefix(_OLD), "old size of the proof")
        hashes = tuple(from_base64(line, "hash of the proof") for line in lines)
        return cls(old_size, hashes, checkpoint)

    def to_bytes(self) -> bytes:
        """Write the proof."""
        lines = [f"{_OLD}{self.old_size}", *map(to_base64, self.hashes)]
        return "\n".join(lines).encode("ascii") + b"\n\n" + self.checkpoint

    def verify(self, old: Checkpoint, trust: Trust) -> OpenedCheckpoint:
        """Check that a log which is trusted begins with all that an older checkpoint covers.

        The older checkpoint must have been verified before. Raises `MalformedEvidence` or
        `EvidenceRefused`.
        """
        opened = trust.open(self.checkpoint)
        new = opened.checkpoint
        if (old.origin, old.size) != (new.origin, self.old_size):
            message = (
                f"the proof is from {self.old_size} entries of {new.origin!r} on, the older "
                f"checkpoint is of {old.size} entries of {old.origin!r}"
            )
            raise EvidenceRefused(message)
        check_consistency(
            self.hashes,
            old_size=old.size,
            old_root=old.root,
            new_size=new.size,
            new_root=new.root,
        )
        return opened
