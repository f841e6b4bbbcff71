"""Signing checkpoints: only of a log that continues what the key has signed before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from certledger.errors import EvidenceRefused, SigningRefused
from certledger.eventstore.checkpoints import newest_of_key, store_checkpoint
from certledger.eventstore.database import Database
from certledger.eventstore.head import Head, frontier_of, read_head
from certledger.eventstore.high_water import alone, read_mark, write_mark
from certledger.eventstore.times import Clock
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.note import Note, NoteSigner, require_kind
from certledger.eventstore.tlog.proofs import check_consistency, consistency_proof
from certledger.eventstore.tree import subtree_hashes


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint and the signed note that carries it."""

    checkpoint: Checkpoint
    note: bytes


def sign_checkpoint(
    database: Database,
    key: SigningKey,
    state: Path,
    clock: Clock,
    *,
    begin_state: bool = False,
) -> SignedCheckpoint:
    """Sign the log as it stands, note that outside of the database, and store it.

    First the log is proved to continue the last checkpoint in the file `state`. Where that file
    is missing although the registry holds checkpoints of this key, nothing is signed unless
    `begin_state` says to trust the last one of those.

    Raises `SigningRefused` with what was seen, `MalformedEvidence` for a key of another type,
    `LogCorrupt` or another `StorageError`, `OSError`.
    """
    require_kind(key.verifier_key, KeyKind.ED25519)
    with alone(state):
        mark = read_mark(state, key.verifier_key)
        signed = database.read(lambda c: _sign(c, key, mark, begin_state=begin_state))
        # First the mark: what it does not know must never have been given away.
        write_mark(state, signed.note)
        database.write(lambda c, _: _store(c, key, signed, clock))
    return signed


def _sign(
    connection: Connection, key: SigningKey, mark: Checkpoint | None, *, begin_state: bool
) -> SignedCheckpoint:
    head = read_head(connection)
    _check_name(head, key)
    frontier_of(head)
    before = mark or _stored_mark(connection, key, begin_state=begin_state)
    if before is not None:
        _check_continues(connection, head, before)
    checkpoint = Checkpoint(head.origin, head.size, head.root)
    note = Note(checkpoint.to_text()).signed(NoteSigner(key))
    return SignedCheckpoint(checkpoint, note.to_bytes())


def _check_name(head: Head, key: SigningKey) -> None:
    # C2SP tlog-checkpoint: the key name should be the origin, and here it is.
    if key.verifier_key.name != head.origin:
        message = (
            f"the key is named {key.verifier_key.name!r} but the registry's origin is "
            f"{head.origin!r}; use the registry's own key"
        )
        raise SigningRefused(message)


def _stored_mark(
    connection: Connection, key: SigningKey, *, begin_state: bool
) -> Checkpoint | None:
    stored = newest_of_key(connection, key.verifier_key.to_text())
    if stored is None:
        return None
    if not begin_state:
        message = (
            f"the registry holds a checkpoint of size {stored.size} that this key signed, but the "
            "key's state file is not there; put it back, or, if it is lost and you trust the "
            "stored checkpoint, run `certledger checkpoint --begin-state`"
        )
        raise SigningRefused(message)
    return Checkpoint.from_text(Note.from_bytes(stored.note).text)


def _check_continues(connection: Connection, head: Head, before: Checkpoint) -> None:
    if before.origin != head.origin:
        message = f"this key has signed for {before.origin!r}, the log is {head.origin!r}"
        raise SigningRefused(message)
    if head.size < before.size:
        message = (
            f"the log has {head.size} entries, but this key has signed that it had {before.size}: "
            "it was cut off, or an old backup was restored; nothing was signed"
        )
        raise SigningRefused(message)
    if before.size == 0:
        return  # every log continues the empty one
    proof = consistency_proof(before.size, head.size, subtree_hashes(connection))
    try:
        check_consistency(
            proof,
            old_size=before.size,
            old_root=before.root,
            new_size=head.size,
            new_root=head.root,
        )
    except EvidenceRefused as error:
        message = (
            f"the first {before.size} entries are not those that this key has signed (root "
            f"{before.root.hex()}): the history was rewritten; nothing was signed: {error}"
        )
        raise SigningRefused(message) from error


def _store(connection: Connection, key: SigningKey, signed: SignedCheckpoint, clock: Clock) -> None:
    line = key.verifier_key.to_text()
    newest = newest_of_key(connection, line)
    # Ed25519 signs the same text to the same bytes: signing again stores nothing again.
    if newest is not None and newest.note == signed.note:
        return
    store_checkpoint(
        connection,
        size=signed.checkpoint.size,
        root=signed.checkpoint.root,
        key=line,
        stored_at=clock(),
        note=signed.note,
    )
