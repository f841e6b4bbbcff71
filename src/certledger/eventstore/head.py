"""The head of the log: its one row of `log_head`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import NoneType
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from certledger.errors import InvalidEvent, InvalidValue, LogCorrupt, UnreadableValue
from certledger.eventstore.event import check_origin
from certledger.eventstore.merkle import EMPTY_ROOT, Frontier
from certledger.eventstore.statement import Asked, Row, Statement
from certledger.eventstore.tables import FORMAT, log_head
from certledger.eventstore.times import aware_utc, naive_utc

_COLUMNS = (
    log_head.c.origin,
    log_head.c.format,
    log_head.c.size,
    log_head.c.root,
    log_head.c.frontier,
    log_head.c.recorded_at,
    log_head.c.created,
)
_BYTES: Final = (bytes, bytearray, memoryview)
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "origin": (str,),
    "format": (int,),
    "size": (int,),
    "root": _BYTES,
    "frontier": _BYTES,
    "recorded_at": (datetime, NoneType),
    "created": (datetime,),
}
"""What `_COLUMNS` hold; SQLite stores any value in any column."""
_READ: Final = Statement(select(*_COLUMNS))
_FORMAT: Final = Statement(select(log_head.c.format))
# On SQLite BEGIN IMMEDIATE is the lock; elsewhere this row's lock puts the writers in order.
_LOCK: Final = Statement(select(*_COLUMNS).with_for_update())
_TAKE: Final = Statement(select(log_head.c.id).with_for_update())
_INSERT: Final = Statement(
    log_head.insert().values(
        id=1,
        origin=bindparam("origin"),
        format=FORMAT,
        size=0,
        root=EMPTY_ROOT,
        frontier=b"",
        recorded_at=None,
        created=bindparam("created"),
    )
)
_GROW: Final = Statement(
    update(log_head)
    .where(log_head.c.size == bindparam("old_size"))
    .values(
        size=bindparam("new_size"),
        root=bindparam("new_root"),
        frontier=bindparam("new_frontier"),
        recorded_at=bindparam("new_recorded_at"),
    )
)
_NAME: Final = Statement(
    update(log_head).where(log_head.c.size == 0).values(origin=bindparam("new_origin"))
)


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log has come."""

    origin: str
    """The registry's name: `source` of every event."""
    format: int
    size: int
    """How many entries there are: the next position."""
    root: bytes
    """The Merkle tree's root hash over all entries (RFC 6962 §2.1)."""
    frontier: bytes
    """The tree's peaks, largest first."""
    recorded_at: datetime | None
    """When the last entry was recorded, in UTC; None while the log is empty."""
    created: datetime
    """When the registry was made, in UTC."""


def read_head(connection: Connection) -> Head:
    """Return the head as the transaction sees it.

    Raises `LogCorrupt` where its row is missing or is not what the log wrote.
    """
    return _head(_READ.ask(connection))


def read_format(connection: Connection) -> int:
    """Return the format of the log, 0 where the head does not tell."""
    rows = _FORMAT.rows(connection)
    return rows[0][0] if len(rows) == 1 and isinstance(rows[0][0], int) else 0


def lock_head(connection: Connection) -> Head:
    """Return the head, and keep other writers waiting until the transaction ends.

    Raises `LogCorrupt` as `read_head` does.
    """
    return ask_to_lock(connection)()


def ask_to_lock(connection: Connection) -> Callable[[], Head]:
    """Ask for the lock; what is returned gives the head, as `lock_head` does."""
    asked = _LOCK.ask(connection)
    return lambda: _head(asked)


def _head(asked: Asked) -> Head:
    try:
        rows = asked.rows()
    except UnreadableValue as error:
        message = f"log_head: {error.__cause__}"
        raise LogCorrupt(message) from error
    if len(rows) != 1:
        message = f"log_head has {len(rows)} rows instead of one"
        raise LogCorrupt(message)
    if not all(map(isinstance, rows[0], _KINDS.values())):
        raise LogCorrupt(_odd_value(rows[0]))
    return _checked(*rows[0])


def _odd_value(row: Row) -> str:
    for name, kinds, value in zip(_KINDS, _KINDS.values(), row, strict=True):
        if not isinstance(value, kinds):
            return f"log_head: {name} is {value!r}"
    raise AssertionError(row)


def _checked(
    origin: str,
    kind: int,
    size: int,
    root: bytes,
    frontier: bytes,
    recorded_at: datetime | None,
    created: datetime,
) -> Head:
    if size < 0 or (recorded_at is None) != (size == 0):
        message = "log_head: size and recorded_at do not go together"
        raise LogCorrupt(message)
    try:
        check_origin(origin)
    except InvalidEvent as error:
        message = f"log_head: origin {error}"
        raise LogCorrupt(message) from error
    return Head(
        origin=origin,
        format=kind,
        size=size,
        root=bytes(root),
        frontier=bytes(frontier),
        recorded_at=None if recorded_at is None else aware_utc(recorded_at),
        created=aware_utc(created),
    )


def frontier_of(head: Head) -> Frontier:
    """Return the tree of the head, ready to grow.

    Raises `LogCorrupt` where its peaks do not add up to its root.
    """
    try:
        frontier = Frontier(head.size, head.frontier)
    except InvalidValue as error:
        message = f"log_head: {error}"
        raise LogCorrupt(message) from error
    if frontier.root() != head.root:
        message = "log_head: the frontier does not add up to the root"
        raise LogCorrupt(message)
    return frontier


def insert_head(connection: Connection, origin: str, created: datetime) -> None:
    """Write the head of an empty log."""
    _INSERT.run(connection, origin=origin, created=naive_utc(created))


def name_log(connection: Connection, origin: str) -> bool:
    """Set the origin of a log that is still empty; tell whether it was."""
    return _NAME.run(connection, new_origin=origin) == 1


def grow_head(
    connection: Connection, old_size: int, frontier: Frontier, recorded_at: datetime
) -> None:
    """Move the head on to what `frontier` has become.

    Raises `LogCorrupt` where somebody moved it without its lock.
    """
    ask_to_grow(connection, old_size, frontier, recorded_at)()


def ask_to_grow(
    connection: Connection, old_size: int, frontier: Frontier, recorded_at: datetime
) -> Callable[[], None]:
    """Move the head on; what is returned sees that it did, as `grow_head` does."""
    asked = _GROW.ask(
        connection,
        old_size=old_size,
        new_size=frontier.size,
        new_root=frontier.root(),
        new_frontier=frontier.peaks,
        new_recorded_at=naive_utc(recorded_at),
    )

    def check() -> None:
        if asked.count() != 1:
            message = f"log_head left size {old_size} during an append"
            raise LogCorrupt(message)

    return check


def take_lock(connection: Connection) -> None:
    """Keep writers waiting until the transaction ends, whatever the head says."""
    _TAKE.rows(connection)
