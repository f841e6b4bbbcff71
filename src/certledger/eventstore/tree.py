"""The hashes of the log's Merkle tree, as its rows hold them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, select

from certledger.errors import LogCorrupt
from certledger.eventstore.merkle import HASH_SIZE
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import log_entry
from certledger.eventstore.tlog.proofs import HashOf, tree_hash

_HASHES: Final = Statement(select(log_entry.c.hashes).where(log_entry.c.seq == bindparam("seq")))


def subtree_hashes(connection: Connection) -> HashOf:
    """Return what looks up the hash of a perfect subtree: one row each.

    The row of a subtree's last leaf holds it, behind those of the smaller subtrees that this leaf
    completed too. What is returned raises `LogCorrupt` where the row or the hash is missing.
    """

    def hash_of(level: int, index: int) -> bytes:
        last = ((index + 1) << level) - 1
        rows = _HASHES.rows(connection, seq=last)
        # SQLite stores any value in any column.
        stored = rows[0][0] if rows and isinstance(rows[0][0], bytes) else b""
        found = stored[level * HASH_SIZE : (level + 1) * HASH_SIZE]
        if len(found) != HASH_SIZE:
            message = f"the hash of the subtree of 2^{level} leaves that ends here is missing"
            raise LogCorrupt(message, last)
        return found

    return hash_of


def root_at(connection: Connection, size: int) -> bytes:
    """Return the root of the tree of the first `size` entries, from O(log size) rows.

    Raises `LogCorrupt`.
    """
    return tree_hash(range(size), subtree_hashes(connection))
