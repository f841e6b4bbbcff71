"""Making proofs from the log: against a stored checkpoint, and exactly its tree.

What is made is verified before it is given away. Where that fails the log is not what it signed.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from certledger.errors import EvidenceError, InvalidValue, LogCorrupt, NoCheckpoint
from certledger.eventstore.checkpoints import (
    StoredCheckpoint,
    checkpoint_of_size,
    newest_checkpoint,
)
from certledger.eventstore.head import read_head
from certledger.eventstore.reader import END, read_entries
from certledger.eventstore.tlog.checkpoint import TrustedLog
from certledger.eventstore.tlog.consistency import ConsistencyProof
from certledger.eventstore.tlog.keys import VerifierKey
from certledger.eventstore.tlog.proofs import consistency_path, consistency_proof, inclusion_proof
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
    entry = _entry_at(connection, seq)
    if seq >= checkpoint.size:
        message = (
            f"entry {seq} is newer than the last checkpoint, of size {checkpoint.size}: sign one "
            "first, with `certledger checkpoint`"
        )
        raise NoCheckpoint(message)
    hashes = inclusion_proof(seq, checkpoint.size, subtree_hashes(connection))
    proof = TlogProof(seq, tuple(hashes), checkpoint.note)
    try:
        proof.verify(entry, trust_in(connection, checkpoint))
    except EvidenceError as error:
        raise _contradicted(checkpoint, error, seq) from error
    return EntryProof(seq, entry, proof)


def _entry_at(connection: Connection, seq: int) -> bytes:
    rows = read_entries(connection, seq, seq + 1) if 0 <= seq < END else []
    if not rows:
        message = f"the log has no entry {seq}"
        raise InvalidValue(message)
    return rows[0].content()


def prove_consistency(connection: Connection, old_size: int, new_size: int) -> ConsistencyProof:
    """Prove that the log of `new_size` begins with that of `old_size`; both have checkpoints.

    Raises `NoCheckpoint`, `InvalidValue` unless 0 < old <= new, `LogCorrupt`.
    """
    consistency_path(old_size, new_size)  # refuses sizes between which there is no proof
    stored = [_checkpoint_of(connection, size) for size in (old_size, new_size)]
    old, new = stored
    hashes = consistency_proof(old_size, new_size, subtree_hashes(connection))
    proof = ConsistencyProof(old_size, tuple(hashes), new.note)
    try:
        opened = trust_in(connection, old).open(old.note)
        proof.verify(opened.checkpoint, trust_in(connection, new))
    except EvidenceError as error:
        raise _contradicted(new, error) from error
    return proof


def _checkpoint_of(connection: Connection, size: int) -> StoredCheckpoint:
    try:
        return checkpoint_of_size(connection, min(size, END))
    except NoCheckpoint as error:
        message = f"{error}: `certledger checkpoint` signs one of the log's present size, no other"
        raise NoCheckpoint(message) from error


def trust_in(connection: Connection, checkpoint: StoredCheckpoint) -> TrustedLog:
    """Return the trust that a stored checkpoint asks for: in its own key, for this log.

    It says whether registry and checkpoint agree, and nothing to anybody else. Raises
    `MalformedEvidence` or `LogCorrupt`.
    """
    key = VerifierKey.from_text(checkpoint.key)
    return TrustedLog(read_head(connection).origin, [key])


def _contradicted(
    checkpoint: StoredCheckpoint, error: EvidenceError, seq: int | None = None
) -> LogCorrupt:
    message = f"log and stored checkpoint of size {checkpoint.size} contradict each other: {error}"
    return LogCorrupt(message, seq)
