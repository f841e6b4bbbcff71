"""The mark of a registry that is being filled by `certledger copy`: the row of `log_copy`.

While the copy is not finished, opening the registry for use is refused with `IncompleteCopy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import NoneType
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from certledger.errors import UnreadableValue
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import log_copy
from certledger.eventstore.times import aware_utc, naive_utc

_C = log_copy.c
_READ: Final = Statement(select(_C.origin, _C.size, _C.root, _C.started_at, _C.finished_at))
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "origin": (str,),
    "size": (int,),
    "root": (bytes, bytearray, memoryview),
    "started_at": (datetime,),
    "finished_at": (datetime, NoneType),
}
"""What the columns hold; SQLite stores any value in any column."""
_SET: Final = Statement(
    update(log_copy).values(
        origin=bindparam("new_origin"),
        size=bindparam("new_size"),
        root=bindparam("new_root"),
        started_at=bindparam("new_started_at"),
        finished_at=None,
    )
)
_INSERT: Final = Statement(
    log_copy.insert().values(
        id=1,
        origin=bindparam("origin"),
        size=bindparam("size"),
        root=bindparam("root"),
        started_at=bindparam("started_at"),
        finished_at=None,
    )
)
_FINISH: Final = Statement(update(log_copy).values(finished_at=bindparam("new_finished_at")))


@dataclass(frozen=True, slots=True)
class CopyMark:
    """That a registry is a copy, of what, and whether it is whole."""

    origin: str
    size: int
    """How many entries are to be copied."""
    root: bytes
    """The root hash of the source at that size."""
    started_at: datetime
    """Aware, in UTC."""
    finished_at: datetime | None
    """Aware, in UTC; None while the copy goes on, or was broken off."""


def read_mark(connection: Connection) -> CopyMark | None:
    """Return the mark, None where the registry is no copy. Schema 0001 has no table for it.

    Raises `UnreadableValue` for a mark that somebody edited.
    """
    rows = _READ.rows(connection)
    if not rows:
        return None
    for name, kinds, value in zip(_KINDS, _KINDS.values(), rows[0], strict=True):
        if not isinstance(value, kinds):
            message = f"log_copy: {name} is {value!r}"
            raise UnreadableValue(message, rows[0])
    origin, size, root, started_at, finished_at = rows[0]
    return CopyMark(
        origin=origin,
        size=size,
        root=bytes(root),
        started_at=aware_utc(started_at),
        finished_at=None if finished_at is None else aware_utc(finished_at),
    )


def set_mark(
    connection: Connection, *, origin: str, size: int, root: bytes, started_at: datetime
) -> None:
    """Mark the registry as a copy of so many entries that is not finished.

    A mark that is there is replaced, as where a copy goes on after its source has grown.
    `started_at` is aware. The transaction is the caller's.
    """
    started = naive_utc(started_at)
    changed = _SET.run(
        connection, new_origin=origin, new_size=size, new_root=root, new_started_at=started
    )
    if not changed:
        _INSERT.run(connection, origin=origin, size=size, root=root, started_at=started)


def finish_mark(connection: Connection, finished_at: datetime) -> None:
    """Say that the copy is whole, from when on the registry can be used.

    `finished_at` is aware. The transaction is the caller's.
    """
    _FINISH.run(connection, new_finished_at=naive_utc(finished_at))
