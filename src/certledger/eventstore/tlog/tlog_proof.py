"""Proof files that verify offline: an inclusion proof with its signed checkpoint
(C2SP tlog-proof v1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from certledger.errors import MalformedEvidence
from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.tlog.checkpoint import OpenedCheckpoint, Trust
from certledger.eventstore.tlog.encoding import SIZE_LIMIT, from_base64, from_decimal, to_base64
from certledger.eventstore.tlog.proofs import check_inclusion, check_lengths

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_EXTRA: Final = "extra "
_INDEX: Final = "index "


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The proof that an entry is in a log, as a file holds it; nothing is true before `verify`."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The signed checkpoint, byte for byte."""
    extra: bytes = b""
    """Data for an application. No signature covers it."""

    def __post_init__(self) -> None:
        if not 0 <= self.index < SIZE_LIMIT:
            message = f"the index of a proof is 0 or more and below 2^64, not {self.index}"
            raise MalformedEvidence(message)
        check_lengths(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> TlogProof:
        """Read a proof file strictly: it is written back as exactly these bytes.

        The checkpoint in it is read when it is verified. Raises `MalformedEvidence`.
        """
        head, empty_line, checkpoint = data.partition(b"\n\n")
        if not empty_line or not head.isascii():
            message = "a proof file is ASCII up to the empty line before its checkpoint"
            raise MalformedEvidence(message)
        header, *lines = head.decode("ascii").split("\n")
        if header != _HEADER:
            message = f"a proof file begins with {_HEADER!r}, not with {header[:40]!r}"
            raise MalformedEvidence(message)
        extra = _take_extra(lines)
        if not lines or not lines[0].startswith(_INDEX):
            raise MalformedEvidence("the proof file has no line `index N` where it belongs")
        index = from_decimal(lines.pop(0).removeprefix(_INDEX), "index of the proof")
        hashes = tuple(from_base64(line, "hash of the proof") for line in lines)
        return cls(index, hashes, checkpoint, extra)

    def to_bytes(self) -> bytes:
        """Write the proof file."""
        lines = [_HEADER]
        if self.extra:
            lines.append(_EXTRA + to_base64(self.extra))
        lines.append(f"{_INDEX}{self.index}")
        lines += map(to_base64, self.hashes)
        return "\n".join(lines).encode("ascii") + b"\n\n" + self.checkpoint

    def verify(self, entry: bytes, trust: Trust) -> OpenedCheckpoint:
        """Check that a log which is trusted holds exactly this entry, and where.

        Raises `MalformedEvidence` or `EvidenceRefused`.
        """
        opened = trust.open(self.checkpoint)
        check_inclusion(
            self.hashes,
            leaf=leaf_hash(entry),
            index=self.index,
            size=opened.checkpoint.size,
            root=opened.checkpoint.root,
        )
        return opened


def _take_extra(lines: list[str]) -> bytes:
    if not lines or not lines[0].startswith(_EXTRA):
        return b""
    extra = from_base64(lines.pop(0).removeprefix(_EXTRA), "extra data of the proof")
    if not extra:
        raise MalformedEvidence("the extra line of the proof is empty: then it is left out")
    return extra
