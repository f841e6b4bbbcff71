"""What can be done beside the entries: to head, checkpoints, triggers and tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.encoding import to_base64
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.note import Note, NoteSigner
from certledger.projections.verifying.outside import Held, Outside
from tests.support.log import ORIGIN
from tests.support.signed import LOG_KEY, OTHER_KEY
from tests.tampering.damage import Damage, Sql, Told, nowhere, run
from tests.tampering.registry import SIZE, SIZES, Log

# The head: its one row says no place, so the position varies the value.

HEAD = [
    Damage(
        f"head's {column} edited",
        run(f"UPDATE log_head SET {column} = {value}"),
        nowhere(kind),
        also=also,
    )
    for column, value, kind, also in (
        ("size", f":at + {SIZE + 1}", "head-size", "drift"),
        ("size", ":at", "head-size", "drift"),
        ("root", "CAST(printf('%032d', :at) AS BLOB)", "head-root", ""),
        ("frontier", "CAST(printf('%032d', :at) AS BLOB)", "head-frontier", ""),
        ("origin", "'elsewhere.example.org/' || :at", "head-origin", "checkpoint-origin"),
        ("recorded_at", "'2001-01-01 00:00:00.' || printf('%06d', :at)", "head-time", ""),
        ("format", "2 + :at", "head-format", ""),
        ("created", "'before ' || :at", "head-time", ""),
    )
]


# Checkpoints: the position is the number of a stored one.

NUMBERS = list(range(len(SIZES)))
FORGED_ROOT = b"f" * 32


def _note(root: bytes, size: int, key: SigningKey, origin: str = ORIGIN) -> bytes:
    return Note(Checkpoint(origin, size, root).to_text()).signed(NoteSigner(key)).to_bytes()


def edit_root(sql: Sql, log: Log, at: int) -> None:
    """In note and column; the signature cannot follow."""
    size = SIZES[at]
    text = log.notes[size].decode()
    old = text.split("\n")[2]
    note = text.replace(old, to_base64(FORGED_ROOT)).encode()
    sql.execute(
        "UPDATE log_checkpoint SET root = ?, note = ? WHERE number = ?", (FORGED_ROOT, note, at)
    )


def sign_with(
    key: SigningKey, root: bytes | None = None, origin: str = ORIGIN
) -> Callable[[Sql, Log, int], None]:
    """Put a checkpoint of a key into the place of another one."""

    def apply(sql: Sql, log: Log, at: int) -> None:
        size = SIZES[at]
        true = Checkpoint.from_text(Note.from_bytes(log.notes[size]).text).root
        note = _note(root or true, size, key, origin)
        sql.execute(
            "UPDATE log_checkpoint SET root = ?, note = ?, key = ? WHERE number = ?",
            (root or true, note, key.verifier_key.to_text(), at),
        )

    return apply


def as_held(change: Callable[[Log, int], bytes]) -> Callable[[Log, int], Outside]:
    """A checkpoint from outside that is none."""
    key = LOG_KEY.verifier_key
    return lambda log, at: Outside((key,), None, (Held("given", change(log, at)),))


def _size(at: int) -> int:
    return SIZES[at]


def _nothing(_sql: Sql, _log: Log, _at: int) -> None:
    """Leave the registry alone: what is given contradicts it."""


def _checkpoint(name: str, apply: Any, kind: str, **options: Any) -> Damage:
    return Damage(name, apply, nowhere(kind), positions=lambda _: NUMBERS, **options)


OTHER_LOG = SigningKey("elsewhere.example.org", KeyKind.ED25519, b"e" * 32)


def _contradicted(log: Log, at: int) -> set[Told]:
    del log
    return {("rewritten", SIZES[at - 1] if at else 0, None)}


CHECKPOINTS = [
    _checkpoint("checkpoint forged", edit_root, "checkpoint-signature"),
    _checkpoint(
        "checkpoint forged with another key",
        sign_with(OTHER_KEY, FORGED_ROOT),
        "checkpoint-forged",
        also="checkpoint-unchecked",
    ),
    Damage(
        "checkpoint that the log's own key signed for another history",
        sign_with(LOG_KEY, FORGED_ROOT),
        _contradicted,
        positions=lambda _: NUMBERS,
    ),
    _checkpoint(
        "checkpoint of another log",
        sign_with(OTHER_LOG, origin=OTHER_LOG.verifier_key.name),
        "checkpoint-origin",
    ),
    _checkpoint(
        "checkpoint made unreadable",
        run("UPDATE log_checkpoint SET note = x'00' WHERE number = :at"),
        "checkpoint-malformed",
    ),
    _checkpoint(
        "checkpoint's size column edited",
        run("UPDATE log_checkpoint SET size = size + 1 WHERE number = :at"),
        "checkpoint-column",
    ),
    _checkpoint(
        "checkpoint's root column edited",
        run("UPDATE log_checkpoint SET root = zeroblob(32) WHERE number = :at"),
        "checkpoint-column",
    ),
    _checkpoint(
        "checkpoint's key column edited",
        run(
            "UPDATE log_checkpoint SET key = "
            f"'{OTHER_KEY.verifier_key.to_text()}' WHERE number = :at"
        ),
        "checkpoint-column",
    ),
    Damage(
        "checkpoint removed",
        run("DELETE FROM log_checkpoint WHERE number = :at"),
        nowhere("checkpoint-gap"),
        positions=lambda _: NUMBERS[:-1],
    ),
    _checkpoint(
        "checkpoint from outside signed by nobody who is known",
        _nothing,
        "checkpoint-signature",
        outside=as_held(lambda log, at: _note(b"\7" * 32, _size(at), OTHER_KEY)),
    ),
    _checkpoint(
        "checkpoint from outside of another log",
        _nothing,
        "checkpoint-origin",
        outside=as_held(lambda log, at: _note(b"\7" * 32, _size(at), OTHER_LOG, "elsewhere")),
    ),
    _checkpoint(
        "checkpoint from outside that is none",
        _nothing,
        "checkpoint-malformed",
        outside=as_held(lambda log, at: log.notes[_size(at)][: -1 - at]),
    ),
]


# Tables: the position is the seq of the event that made the row.


def row_id(statement: str) -> Callable[[Sql, Log, int], None]:
    return run(statement.replace(":id", "(:at + 1)"))


def _present(log: Log) -> list[int]:
    """Where certificates were registered that are present still: the first, the last, others."""
    deleted = {log.serial(seq) for seq in log.of_type("deleted")}
    found = [seq for seq in log.issued if log.serial(seq) not in deleted]
    return [found[0], *found[1:-1:8], found[-1]]


def _deletions(log: Log) -> list[int]:
    return log.of_type("deleted")


def _at(log: Log, seq: int) -> set[Told]:
    return {("drift", seq, log.serial(seq))}


def _added(log: Log, at: int) -> set[Told]:
    del log
    return {("drift", None, 700_000 + at)}


ADD_CERTIFICATE = """INSERT INTO certificates SELECT 1000 + :at, 700000 + :at, common_name, status,
    not_valid_before, not_valid_after, key_type, certificate_pem, NULL, NULL, NULL
    FROM certificates WHERE id = (SELECT max(id) FROM certificates)"""
ADD_RETIRED = """INSERT INTO retired SELECT 1000 + :at, 700000 + :at, last_state, revocation_date,
    revocation_reason, not_valid_after FROM retired WHERE seq = (SELECT max(seq) FROM retired)"""

TABLES = [
    Damage(
        "row of certificates edited",
        row_id("UPDATE certificates SET status = 'expired' WHERE id = :id"),
        _at,
        positions=_present,
    ),
    Damage(
        "row of certificates removed",
        row_id("DELETE FROM certificates WHERE id = :id"),
        _at,
        positions=_present,
    ),
    Damage("row added to certificates", run(ADD_CERTIFICATE), _added),
    Damage(
        "row of retired edited",
        run("UPDATE retired SET last_state = 'x' WHERE seq = :at"),
        _at,
        positions=_deletions,
    ),
    Damage(
        "row of retired removed",
        run("DELETE FROM retired WHERE seq = :at"),
        _at,
        positions=_deletions,
    ),
    Damage("row added to retired", run(ADD_RETIRED), _added),
]


REST = [*HEAD, *CHECKPOINTS, *TABLES]
