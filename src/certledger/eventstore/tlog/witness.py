"""What a witness checks before it cosigns: that a log only grew since it cosigned before."""

from __future__ import annotations

from certledger.errors import EvidenceRefused
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.cosignature import CosignatureSigner, CosignatureVerifier
from certledger.eventstore.tlog.keys import SigningKey, VerifierKey
from certledger.eventstore.tlog.note import Note
from certledger.eventstore.tlog.proofs import (
    HashOf,
    check_consistency,
    consistency_proof,
    tree_hash,
)


def cosigned(data: bytes, key: SigningKey, timestamp: int) -> bytes:
    """Return a checkpoint with the witness's line at its end, in place of older ones of its key.

    Verify the log's signature, and `check_growth`, first. Raises `MalformedEvidence`.
    """
    return Note.from_bytes(data).signed(CosignatureSigner(key, timestamp)).to_bytes()


def is_cosigned(data: bytes, key: VerifierKey) -> bool:
    """Tell whether a witness has cosigned a checkpoint.

    Raises `MalformedEvidence`, and `EvidenceRefused` for a line of its key that does not verify.
    """
    note = Note.from_bytes(data)
    if not any(signature.is_of(key) for signature in note.signatures):
        return False
    note.open([CosignatureVerifier(key)])
    return True


def check_growth(new: Checkpoint, old: Checkpoint | None, hash_of: HashOf) -> None:
    """Check that a tree is that of the new checkpoint and begins with all that the old one covers.

    Both were verified and are of one log. `old` is None for a witness that begins, at size 0.
    Raises `EvidenceRefused`, or what `hash_of` raises.
    """
    if old is not None and new.size < old.size:
        message = (
            f"the checkpoint has {new.size} entries, but {old.size} were covered before: "
            "a witness does not go back"
        )
        raise EvidenceRefused(message)
    root = tree_hash(range(new.size), hash_of)
    if root != new.root:
        message = f"the tiles have the root {root.hex()}, the checkpoint has {new.root.hex()}"
        raise EvidenceRefused(message)
    if old is None or old.size == 0:
        return  # every log continues the empty one
    check_consistency(
        consistency_proof(old.size, new.size, hash_of),
        old_size=old.size,
        old_root=old.root,
        new_size=new.size,
        new_root=new.root,
    )
