"""Making proofs from the log: against its last stored checkpoint, and exactly that tree."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from certledger.errors import InvalidValue, LogCorrupt, NoCheckpoint
from certledger.eventstore.checkpoints import (
    StoredCheckpoint,
    checkpoint_of_size,
    newest_checkpoint,
)
from certledger.eventstore.reader import Entry, read_entries
from certledger.eventstore.tlog.encoding import to_base64
from certledger.eventstore.tlog.proofs import consistency_proof, inclusion_proof
from certledger.eventstore.tlog.tlog_proof import TlogProof
from certledger.eventstore.tree import subtree_hashes


@dataclass(frozen=True, slots=True)
class EntryProof:
    """An entry's bytes and the proof that the log holds them."""

    seq: int
    entry: bytes
    proof: TlogProof


def prove_entry(connection: Connection, seq: int) -> EntryProof:
    """Prove that an entry is in the tree of the last stored checkpoint (C2SP tlog-proof).

    Raises `NoCheckpoint` where none is stored or the entry is newer, `InvalidValue` where there
    is no such entry, `LogCorrupt`.
    """
    return prove_with(connection, seq, newest_checkpoint(connection))


def prove_with(connection: Connection, seq: int, checkpoint: StoredCheckpoint) -> EntryProof:
    """Prove that an entry is in the tree of a stored checkpoint; raises what `prove_entry` does."""
    (row,) = read_entries(connection, seq, seq + 1) or (None,)
    if row is None:
        message = f"the log has no entry {seq}"
        raise InvalidValue(message)
    if seq >= checkpoint.size:
        message = (
            f"entry {seq} is newer than the last checkpoint, of size {checkpoint.size}: sign one "
            "first, with `certledger checkpoint`"
        )
        raise NoCheckpoint(message)
    hashes = inclusion_proof(seq, checkpoint.size, subtree_hashes(connection))
    return EntryProof(seq, _bytes_of(row), TlogProof(seq, tuple(hashes), checkpoint.note))


def _bytes_of(row: Entry) -> bytes:
    if row.entry is None:
        message = "its bytes are missing"
        raise LogCorrupt(message, row.seq)
    row.event()  # holds the bytes against their leaf hash
    return row.entry


def prove_consistency(connection: Connection, old_size: int, new_size: int) -> bytes:
    """Prove that the log of `new_size` begins with that of `old_size`; both have checkpoints.

    Returns the form of C2SP tlog-witness: `old N`, the hashes in base64, an empty line, the new
    checkpoint. Raises `NoCheckpoint`, `InvalidValue` unless 0 < old <= new, `LogCorrupt`.
    """
    checkpoint_of_size(connection, old_size)
    new = checkpoint_of_size(connection, new_size)
    hashes = consistency_proof(old_size, new_size, subtree_hashes(connection))
    lines = [f"old {old_size}", *map(to_base64, hashes)]
    return "\n".join(lines).encode("ascii") + b"\n\n" + new.note
