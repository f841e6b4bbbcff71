"""Making an identical registry from the entries of a log, as `export events` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from certledger.errors import EvidenceRefused, ImportRejected, InvalidValue, LedgerError
from certledger.eventstore.append import insert_rows
from certledger.eventstore.continuation import Continuation
from certledger.eventstore.database import Database
from certledger.eventstore.head import grow_head, lock_head, name_log
from certledger.eventstore.merkle import EMPTY_ROOT
from certledger.eventstore.times import utc_now
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.importers.history import History
from certledger.importers.lines import Line, read_lines
from certledger.projections.progress import Progress
from certledger.projections.projector import Change, project
from certledger.projections.schema import prepare

BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored log came to."""

    origin: str
    size: int
    root: bytes


def restore_events(
    path: Path,
    database: Database,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Make the registry whose log has exactly the entries of a file, one a line.

    Every entry is read strictly and held against the order of the log, its stream and the
    lifecycle. All happens in one transaction: of a file that is refused nothing is kept but an
    empty registry of that name, into which another file can be restored. `checkpoint`, which the
    caller has verified, must be of this log and have its root at that size; the file may go on
    after it. `progress` is told bytes of the file.

    Raises `ImportRejected` with file and line, `InvalidValue` for a database that has entries,
    `EvidenceRefused` where the checkpoint is not of this log, `StorageError`, `OSError`.
    """
    total = path.stat().st_size
    origin = next(read_lines(path)).event.source
    if checkpoint is not None and checkpoint.origin != origin:
        message = f"the checkpoint is of {checkpoint.origin!r}, the entries are of {origin!r}"
        raise EvidenceRefused(message)
    prepare(database, create=True, origin=origin, clock=utc_now)
    return database.write(
        lambda connection, _: _Restore(connection, path, checkpoint).run(origin, total, progress)
    )


class _Restore:
    """One attempt, in one write transaction."""

    def __init__(self, connection: Connection, path: Path, checkpoint: Checkpoint | None) -> None:
        self._connection = connection
        self._path = path
        self._checkpoint = checkpoint
        self._root_there: bytes | None = EMPTY_ROOT
        """At the checkpoint's size; None while the log is not that long."""

    def run(self, origin: str, total: int, progress: Progress | None) -> Restored:
        """Restore every entry. Raises what `restore_events` does."""
        head = lock_head(self._connection)
        if head.size:
            message = f"the registry has {head.size} entries: restore into one that has none"
            raise InvalidValue(message)
        if head.origin != origin:
            name_log(self._connection, origin)
        if self._checkpoint is not None and self._checkpoint.size > 0:
            self._root_there = None
        log = Continuation(origin)
        history = History(self._connection)
        lines = read_lines(self._path)
        done = 0
        while batch := list(islice(lines, BATCH)):
            self._add(log, history, batch)
            done += sum(len(line.entry) + 1 for line in batch)
            if progress is not None:
                progress(done, total)
        self._check_root(log.size)
        if log.recorded_at is not None:
            grow_head(self._connection, 0, log.frontier, log.recorded_at)
        return Restored(origin, log.size, log.frontier.root())

    def _add(self, log: Continuation, history: History, batch: list[Line]) -> None:
        history.begin_batch()
        changes: list[Change] = []
        rows = []
        for line in batch:
            try:
                rows.append(log.row(line.event, line.entry))
                change = history.follow(line.event)
            except LedgerError as error:
                raise ImportRejected(self._path, line.number, str(error)) from error
            if change is not None:
                changes.append(change)
            if self._checkpoint is not None and log.size == self._checkpoint.size:
                self._root_there = log.frontier.root()
                self._check_root(log.size)
        insert_rows(self._connection, rows)
        project(self._connection, changes)

    def _check_root(self, read: int) -> None:
        """Hold the log, so many entries of which are read, against its checkpoint."""
        if self._checkpoint is None:
            return
        size, root = self._checkpoint.size, self._checkpoint.root
        if self._root_there is None:
            message = (
                f"the checkpoint is of {size} entries, {self._path} has {read}: it was cut off"
            )
            raise EvidenceRefused(message)
        if self._root_there != root:
            message = (
                f"the first {size} entries of {self._path} have the root {self._root_there.hex()}, "
                f"but the checkpoint says {root.hex()}: they are others"
            )
            raise EvidenceRefused(message)
