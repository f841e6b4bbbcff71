"""Signing checkpoints: only of a log that continues what the key has signed before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from certledger.errors import EvidenceError, EvidenceRefused, LogCorrupt, SigningRefused
from certledger.eventstore.checkpoints import StoredCheckpoint, newest_of_key, store_checkpoint
from certledger.eventstore.database import Database
from certledger.eventstore.head import Head, frontier_of, read_head
from certledger.eventstore.high_water import LOCK_SECONDS, alone, read_mark, write_mark
from certledger.eventstore.times import Clock
from certledger.eventstore.tlog.checkpoint import Checkpoint, TrustedLog
from certledger.eventstore.tlog.keys import KeyKind, SigningKey, VerifierKey
from certledger.eventstore.tlog.note import Note, NoteSigner, require_kind
from certledger.eventstore.tlog.proofs import check_consistency, consistency_proof
from certledger.eventstore.tree import root_at, subtree_hashes


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
    wait_seconds: float = LOCK_SECONDS,
) -> SignedCheckpoint:
    """Sign the log as it stands, note that outside of the database, and store it.

    First the log is proved to continue the last checkpoint in the file `state`, and what the
    registry holds of this key. Where that file is missing although the registry holds checkpoints
    of this key, nothing is signed unless `begin_state` says to trust the last one of those. Other
    signers with this file are waited for at most `wait_seconds`.

    Raises `SigningRefused` with what was seen, `MalformedEvidence` for a key of another type,
    `LogCorrupt` or another `StorageError`, `OSError`.
    """
    require_kind(key.verifier_key, KeyKind.ED25519)
    # Replacing a link would leave two marks.
    state = state.resolve()
    with alone(state, wait_seconds):
        mark = read_mark(state, key.verifier_key)
        signed = database.read(lambda c: _sign(c, key, mark, begin_state=begin_state))
        # First the mark: what it does not know must never have been given away.
        write_mark(state, signed.note)
        database.write(lambda c, _: _store(c, key, signed, clock))
    return signed


def check_name(origin: str, key: VerifierKey) -> None:
    """Refuse a key of another name than the log's (C2SP tlog-checkpoint: they should be equal).

    Raises `SigningRefused`.
    """
    if key.name != origin:
        message = (
            f"the key is named {key.name!r} but the registry's origin is {origin!r}; use the "
            "registry's own key"
        )
        raise SigningRefused(message)


def _sign(
    connection: Connection, key: SigningKey, mark: Checkpoint | None, *, begin_state: bool
) -> SignedCheckpoint:
    head = read_head(connection)
    check_name(head.origin, key.verifier_key)
    _check_tree(connection, head)
    if mark is not None:
        _check_continues(connection, head, mark)
    stored = newest_of_key(connection, key.verifier_key.to_text())
    if stored is not None:
        _check_stored(connection, head, key, stored, mark, begin_state=begin_state)
    checkpoint = Checkpoint(head.origin, head.size, head.root)
    note = Note(checkpoint.to_text()).signed(NoteSigner(key))
    return SignedCheckpoint(checkpoint, note.to_bytes())


def _check_tree(connection: Connection, head: Head) -> None:
    """Refuse a head that is not the entries': nothing could be proved from what it signs."""
    frontier_of(head)
    root = root_at(connection, head.size)
    if root != head.root:
        message = f"log_head has the root {head.root.hex()}, the stored hashes make {root.hex()}"
        raise LogCorrupt(message)


def _check_stored(
    connection: Connection,
    head: Head,
    key: SigningKey,
    stored: StoredCheckpoint,
    mark: Checkpoint | None,
    *,
    begin_state: bool,
) -> None:
    if mark is None and not begin_state:
        message = (
            f"the registry holds a checkpoint of size {stored.size} that this key signed, but the "
            "key's state file is not there; put it back, or, if it is lost and you trust the "
            "stored checkpoint, run `certledger checkpoint --begin-state`"
        )
        raise SigningRefused(message)
    try:
        opened = TrustedLog(head.origin, [key.verifier_key]).open(stored.note)
    except EvidenceError as error:
        if mark is not None:
            # Whoever can write to the database could add it; `verify` reports it.
            return
        message = f"checkpoint {stored.number} of the registry is not this key's: {error}"
        raise SigningRefused(message) from error
    if opened.checkpoint != mark:
        # An older mark, from a backup, does not know of it.
        _check_continues(connection, head, opened.checkpoint)


def _check_continues(connection: Connection, head: Head, before: Checkpoint) -> None:
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
    # Ed25519 signs the same text to the same bytes: signing again stores nothing again.
    store_checkpoint(
        connection,
        size=signed.checkpoint.size,
        root=signed.checkpoint.root,
        key=key.verifier_key.to_text(),
        stored_at=clock(),
        note=signed.note,
    )
