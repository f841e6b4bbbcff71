"""The log as a file of its entries, one a line, byte for byte."""

from __future__ import annotations

from typing import BinaryIO

from certledger.errors import LogCorrupt
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.merkle import Frontier, leaf_hash
from certledger.eventstore.reader import LogQuery, read_log
from certledger.projections.progress import Progress


def export_events(database: Database, stream: BinaryIO, progress: Progress | None = None) -> int:
    """Write the entries that the log has now, each as its canonical bytes and a line feed.

    Canonical JSON holds no line break, so a line is an entry. Returns how many there were.
    Raises `LogCorrupt` where an entry is missing or not what was hashed, or where the entries do
    not have the root of the log; `OSError`.
    """
    head = database.read(read_head)
    tree = Frontier()
    for row in read_log(database, LogQuery(0, head.size)):
        if row.seq != tree.size:
            break
        entry = row.content()
        stream.write(entry + b"\n")
        tree.append(leaf_hash(entry))
        if progress is not None:
            progress(tree.size, head.size)
    if tree.size != head.size:
        message = "it is missing"
        raise LogCorrupt(message, tree.size)
    if tree.root() != head.root:
        message = f"its head states the root {head.root.hex()}, the entries {tree.root().hex()}"
        raise LogCorrupt(message)
    return head.size
