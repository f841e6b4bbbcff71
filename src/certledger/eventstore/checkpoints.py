"""The signed checkpoints that the registry keeps: insert-only, in the order they were made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from certledger.errors import LogCorrupt, NoCheckpoint
from certledger.eventstore.head import take_lock
from certledger.eventstore.statement import Row, Statement
from certledger.eventstore.tables import log_checkpoint
from certledger.eventstore.times import aware_utc, naive_utc

_C = log_checkpoint.c
# By size first: of two signers the slower one may store the smaller checkpoint later.
_NEWEST: Final = Statement(
    select(log_checkpoint).order_by(_C.size.desc(), _C.number.desc()).limit(1)
)
_OF_SIZE: Final = Statement(
    select(log_checkpoint).where(_C.size == bindparam("size")).order_by(_C.number.desc()).limit(1)
)
_OF_KEY: Final = Statement(
    select(log_checkpoint)
    .where(_C.key == bindparam("key"))
    .order_by(_C.size.desc(), _C.number.desc())
    .limit(1)
)
_FROM: Final = Statement(
    select(log_checkpoint)
    .where(_C.number >= bindparam("start"))
    .order_by(_C.number)
    .limit(bindparam("limit"))
)
_SAME: Final = Statement(
    select(_C.number)
    .where(_C.size == bindparam("size"), _C.key == bindparam("key"), _C.note == bindparam("note"))
    .limit(1)
)
_NEXT: Final = Statement(select(func.max(_C.number)))
_INSERT: Final = Statement(
    log_checkpoint.insert().values({column.name: bindparam(column.name) for column in _C})
)
_PAGE: Final = 100
_LOWEST: Final = -(2**63)


_KINDS: Final = (int, int, bytes, str, datetime, bytes)


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A row of `log_checkpoint`. Its values have their types; whether they hold is unchecked."""

    number: int
    size: int
    root: bytes
    key: str
    """The signer's verifier key line."""
    stored_at: datetime
    """In UTC."""
    note: bytes
    """The signed checkpoint, byte for byte."""


def _stored(row: Row) -> StoredCheckpoint:
    for kind, column, value in zip(_KINDS, _C, row, strict=True):
        # SQLite stores any value in any column.
        if not isinstance(value, kind):
            message = f"log_checkpoint {row[0]!r}: {column.name} is {value!r:.80}"
            raise LogCorrupt(message)
    number, size, root, key, stored_at, note = row
    return StoredCheckpoint(number, size, root, key, aware_utc(stored_at), note)


def newest_checkpoint(connection: Connection) -> StoredCheckpoint:
    """Return the largest checkpoint that is stored. Raises `NoCheckpoint` or `LogCorrupt`."""
    rows = _NEWEST.rows(connection)
    if not rows:
        message = "no checkpoint is stored yet: sign one first, with `certledger checkpoint`"
        raise NoCheckpoint(message)
    return _stored(rows[0])


def checkpoint_of_size(connection: Connection, size: int) -> StoredCheckpoint:
    """Return the last checkpoint of a size. Raises `NoCheckpoint` or `LogCorrupt`."""
    rows = _OF_SIZE.rows(connection, size=size)
    if not rows:
        message = f"no checkpoint of size {size} is stored"
        raise NoCheckpoint(message)
    return _stored(rows[0])


def newest_of_key(connection: Connection, key: str) -> StoredCheckpoint | None:
    """Return the largest checkpoint that a key (its verifier key line) is said to have signed.

    Raises `LogCorrupt`.
    """
    rows = _OF_KEY.rows(connection, key=key)
    return _stored(rows[0]) if rows else None


def stored_checkpoints(connection: Connection) -> Iterator[StoredCheckpoint]:
    """Yield all checkpoints in the order they were stored, read in pages.

    Raises `LogCorrupt` or `UnreadableValue`.
    """
    start = _LOWEST
    while page := checkpoints_from(connection, start):
        yield from page
        start = page[-1].number + 1


def checkpoints_from(connection: Connection, start: int) -> list[StoredCheckpoint]:
    """Return the next page of the checkpoints with numbers from `start` on.

    Raises `LogCorrupt` or `UnreadableValue`.
    """
    return [_stored(row) for row in _FROM.rows(connection, start=start, limit=_PAGE)]


def count_checkpoints(connection: Connection) -> int:
    """Return how many checkpoints there must be by the number of the last one."""
    ((last,),) = _NEXT.rows(connection)
    return 0 if last is None else int(last) + 1


def store_checkpoint(
    connection: Connection, *, size: int, root: bytes, key: str, stored_at: datetime, note: bytes
) -> None:
    """Store a signed checkpoint, in a write transaction, unless this very one is there."""
    take_lock(connection)  # of two signers one has the next number, the other the one after it
    if _SAME.rows(connection, size=size, key=key, note=note):
        return
    number = count_checkpoints(connection)
    insert_checkpoint(connection, StoredCheckpoint(number, size, root, key, stored_at, note))


def insert_checkpoint(connection: Connection, checkpoint: StoredCheckpoint) -> None:
    """Write a row as it is, in a write transaction; its number must be the next."""
    _INSERT.run(
        connection,
        number=checkpoint.number,
        size=checkpoint.size,
        root=checkpoint.root,
        key=checkpoint.key,
        stored_at=naive_utc(checkpoint.stored_at),
        note=checkpoint.note,
    )
