"""Long logs made fast: their hashes are right, their entries are short and no events."""

from __future__ import annotations

from sqlalchemy import Connection

from certledger.eventstore.append import insert_rows
from certledger.eventstore.database import Database
from certledger.eventstore.head import frontier_of, grow_head, lock_head
from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.times import Clock, naive_utc

_PAGE = 10_000


def entry(seq: int) -> bytes:
    return b'{"seq":%d}' % seq


def grow_synthetic(database: Database, clock: Clock, size: int) -> None:
    """Make the log as long as this."""
    while database.write(lambda connection, _: _grow(connection, clock, size)) < size:
        pass


def _grow(connection: Connection, clock: Clock, size: int) -> int:
    head = lock_head(connection)
    frontier = frontier_of(head)
    stop = min(size, head.size + _PAGE)
    rows = [
        {
            "seq": seq,
            "hashes": frontier.append(leaf_hash(entry(seq))),
            "event_id": str(seq),
            "subject": str(seq),
            "streamversion": 0,
            "type": "synthetic",
            "actor": "nobody",
            "uuid": None,
            "recorded_at": naive_utc(clock()),
            "entry": entry(seq),
        }
        for seq in range(head.size, stop)
    ]
    insert_rows(connection, rows)
    grow_head(connection, head.size, frontier, clock())
    return stop
