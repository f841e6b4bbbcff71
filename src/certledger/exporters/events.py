"""The log as a file of its entries, one a line, byte for byte."""

from __future__ import annotations

from typing import BinaryIO

from certledger.errors import LogCorrupt
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.reader import LogQuery, read_log
from certledger.projections.progress import Progress


def export_events(database: Database, stream: BinaryIO, progress: Progress | None = None) -> int:
    """Write the entries that the log has now, each as its canonical bytes and a line feed.

    Canonical JSON holds no line break, so a line is an entry. Returns how many there were.
    Raises `LogCorrupt` at an entry that is missing or not what was hashed, `OSError`.
    """
    size = database.read(read_head).size
    due = 0
    for row in read_log(database, LogQuery(0, size)):
        if row.seq != due:
            break
        stream.write(row.content() + b"\n")
        due += 1
        if progress is not None:
            progress(due, size)
    if due != size:
        message = "it is missing"
        raise LogCorrupt(message, due)
    return size
