"""Logs with signed checkpoints, as `certledger checkpoint` makes them."""

from __future__ import annotations

from pathlib import Path

from certledger.eventstore.checkpoints import newest_checkpoint
from certledger.eventstore.database import Database
from certledger.eventstore.signing import sign_checkpoint
from certledger.eventstore.times import Clock
from certledger.eventstore.tlog.checkpoint import TrustedLog
from certledger.eventstore.tlog.cosignature import CosignatureSigner
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.note import Note
from tests.support.log import ORIGIN

LOG_KEY = SigningKey(ORIGIN, KeyKind.ED25519, b"k" * 32)
OTHER_KEY = SigningKey(ORIGIN, KeyKind.ED25519, b"o" * 32)
WITNESS_KEY = SigningKey("witness.example", KeyKind.COSIGNATURE, b"w" * 32)
VKEY = LOG_KEY.verifier_key.to_text()
TRUST = TrustedLog(ORIGIN, [LOG_KEY.verifier_key])
COSIGNED_AT = 1_800_000_000
"""2027-01-15 08:00:00Z."""


def sign_log(database: Database, folder: Path, clock: Clock, key: SigningKey = LOG_KEY) -> bytes:
    """Sign the log as it stands, store the checkpoint and return it."""
    state = folder / f"{key.verifier_key.id}.state"
    return sign_checkpoint(database, key, state, clock).note


def cosigned(note: bytes, key: SigningKey = WITNESS_KEY, *, at: int = COSIGNED_AT) -> bytes:
    """The same checkpoint with a witness's line."""
    return Note.from_bytes(note).signed(CosignatureSigner(key, at)).to_bytes()


def stored_note(database: Database) -> bytes:
    return database.read(newest_checkpoint).note
