"""Holding signed checkpoints, those in the registry and those from outside, against the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, type_coerce
from sqlalchemy.types import NullType

from certledger.errors import EvidenceError, MalformedEvidence
from certledger.eventstore.database import Database
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import log_checkpoint
from certledger.eventstore.tlog.checkpoint import Checkpoint, Trust, TrustedLog
from certledger.eventstore.tlog.keys import KeyKind, VerifierKey
from certledger.eventstore.tlog.note import Note, NoteVerifier, require_kind
from certledger.projections.verifying.agreement import Agreement
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.outside import Held, Outside
from certledger.projections.verifying.stored import shown, told

_PAGE: Final = 100
_LOWEST: Final = -(2**63)


class StoredCheckpoint(NamedTuple):
    """A row of `log_checkpoint`; but for `number`, any column may hold a value of any type."""

    number: int
    size: Any
    root: Any
    key: Any
    stored_at: Any
    note: Any


_C = log_checkpoint.c
_COLUMNS: Final = [
    type_coerce(_C[name], NullType()).label(name) for name in StoredCheckpoint._fields
]
_FROM: Final = Statement(
    select(*_COLUMNS)
    .where(_C.number.between(bindparam("low"), bindparam("high")))
    .order_by(_C.number)
    .limit(_PAGE)
)
_LAST: Final = select(func.max(_C.number))
_SIZES: Final = Statement(select(type_coerce(_C.size, NullType()).label("size")).distinct())


def wanted_sizes(connection: Connection, outside: Outside) -> set[int]:
    """Return the sizes of all checkpoints, at which the log's roots must be kept."""
    sizes = {size for (size,) in _SIZES.rows(connection) if isinstance(size, int)}
    held = [*outside.checkpoints, *([] if outside.mark is None else [outside.mark])]
    for each in held:
        try:
            sizes.add(Checkpoint.from_text(Note.from_bytes(each.note).text).size)
        except MalformedEvidence:
            continue  # a finding will say so
    return sizes


def last_number(connection: Connection) -> int | None:
    """Return the greatest number of a stored checkpoint."""
    last = connection.scalar(_LAST)
    return None if last is None else int(last)


def stored_pages(
    database: Database, connection: Connection, last: int | None
) -> Iterator[list[StoredCheckpoint]]:
    """Yield the stored checkpoints up to a number, a short read transaction for each page."""
    low = _LOWEST
    while last is not None and low <= last:
        with database.transaction(connection):
            rows = _FROM.rows(connection, low=low, high=last)
        if not rows:
            return
        yield [StoredCheckpoint(*row) for row in rows]
        low = rows[-1][0] + 1


class CheckpointCheck:
    """Checks stored checkpoints in the order of their numbers, and then those from outside."""

    def __init__(self, origin: str | None, agreement: Agreement, outside: Outside) -> None:
        """`origin` is the head's, None where it states none."""
        self._origin = origin
        self._agreement = agreement
        self._outside = outside
        self._known = outside.known
        self._due = 0
        self._unknown: Counter[str] = Counter()

    def step(self, row: StoredCheckpoint) -> Iterator[Finding]:
        """Take the next stored checkpoint."""
        yield from self._check_number(row.number)
        what = f"stored checkpoint {row.number}"
        faults = [name for name, kind in _KINDS.items() if not isinstance(getattr(row, name), kind)]
        if faults:
            values = ", ".join(f"{name} is {shown(getattr(row, name))}" for name in faults)
            yield from _malformed(what, values)
            return
        read = _read(row.note)
        if isinstance(read, MalformedEvidence):
            yield from _malformed(what, told(read))
            return
        note, checkpoint = read
        yield from _check_columns(what, row, note, checkpoint)
        yield from self._check_signature(what, row, note, checkpoint)

    def _check_number(self, number: int) -> Iterator[Finding]:
        if number != self._due:
            message = f"stored checkpoint {number} stands where {self._due} is due"
            yield Finding("finding", "checkpoint-gap", None, message)
        self._due = number + 1

    def _check_signature(
        self, what: str, row: StoredCheckpoint, note: Note, checkpoint: Checkpoint
    ) -> Iterator[Finding]:
        key = _signer(note, row.key)
        if isinstance(key, MalformedEvidence):
            return  # the column is told of
        try:
            note.open([NoteVerifier(each) for each in dict.fromkeys((key, *self._known))])
        except EvidenceError as error:
            yield Finding("finding", "checkpoint-signature", None, f"{what}: {told(error)}")
            return
        yield from self._check_meaning(what, key, checkpoint)

    def _check_meaning(
        self, what: str, key: VerifierKey, checkpoint: Checkpoint
    ) -> Iterator[Finding]:
        if checkpoint.origin != self._origin:
            yield self._other_log(what, checkpoint)
            return
        if key not in self._known:
            self._unknown[key.to_text()] += 1
            if self._known and self._agreement.contradicts(checkpoint):
                message = f"{what}, which none of the given keys signed, contradicts the log"
                yield Finding("finding", "checkpoint-forged", None, message)
                return
        yield from self._agreement.compare(what, checkpoint)

    def finish(self) -> Iterator[Finding]:
        """Check what is from outside, and tell by which keys nobody could judge."""
        for key, count in self._unknown.items():
            message = (
                f"{count} stored checkpoints are signed with the key {shown_key(key)}, for which "
                "nobody has vouched: give it with --vkey if it is the log's"
            )
            yield Finding("note", "checkpoint-unchecked", None, message)
        origin = self._origin
        if origin is None:
            return  # the head states none, which is told
        for held in self._outside.checkpoints:
            yield from self._check_held(f"the checkpoint {held.name}", held, self._outside.trust)
        if self._outside.mark is not None:
            mark, keys = self._outside.mark, self._outside.keys
            what = f"the signer's high-water mark {mark.name}"
            yield from self._check_held(what, mark, lambda origin: TrustedLog(origin, keys))

    def _check_held(self, what: str, held: Held, trust: Any) -> Iterator[Finding]:
        read = _read(held.note)
        if isinstance(read, MalformedEvidence):
            yield from _malformed(what, told(read))
            return
        _, checkpoint = read
        if checkpoint.origin != self._origin:
            yield self._other_log(what, checkpoint)
            return
        believed: Trust = trust(checkpoint.origin)
        try:
            believed.open(held.note)
        except EvidenceError as error:
            yield Finding("finding", "checkpoint-signature", None, f"{what}: {told(error)}")
            return
        yield from self._agreement.compare(what, checkpoint)

    def _other_log(self, what: str, checkpoint: Checkpoint) -> Finding:
        message = (
            f"{what} is of the log {shown(checkpoint.origin)}, the head states the origin "
            f"{shown(self._origin)}"
        )
        return Finding("finding", "checkpoint-origin", None, message)


_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "size": int,
    "root": bytes,
    "key": str,
    "stored_at": (str, datetime),
    "note": bytes,
}


def _read(data: bytes) -> tuple[Note, Checkpoint] | MalformedEvidence:
    try:
        note = Note.from_bytes(data)
        return note, Checkpoint.from_text(note.text)
    except MalformedEvidence as error:
        return error


def _malformed(what: str, why: str) -> Iterator[Finding]:
    yield Finding("finding", "checkpoint-malformed", None, f"{what}: {why}")


def _check_columns(
    what: str, row: StoredCheckpoint, note: Note, checkpoint: Checkpoint
) -> Iterator[Finding]:
    for name, stated in (("size", checkpoint.size), ("root", checkpoint.root)):
        if getattr(row, name) != stated:
            message = (
                f"{what}: the column {name} says {shown(getattr(row, name))}, the note says "
                f"{shown(stated)}"
            )
            yield Finding("finding", "checkpoint-column", None, message)
    key = _signer(note, row.key)
    if isinstance(key, MalformedEvidence):
        message = f"{what}: the column key: {told(key)}"
        yield Finding("finding", "checkpoint-column", None, message)


def _signer(note: Note, line: str) -> VerifierKey | MalformedEvidence:
    """Return the key of a verifier key line, which must be a log's, and claimed by the note."""
    try:
        key = VerifierKey.from_text(line)
        require_kind(key, KeyKind.ED25519)
    except MalformedEvidence as error:
        return error
    if not any(signature.is_of(key) for signature in note.signatures):
        return MalformedEvidence(f"{key.name}+{key.id} has no signature line in the note")
    return key


def shown_key(line: str) -> str:
    """Write a verifier key line whole: it is to be copied."""
    return line if line.isprintable() else shown(line)
