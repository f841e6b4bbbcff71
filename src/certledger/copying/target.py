"""The registry that a copy fills: empty at first, marked until it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from certledger.copying.source import Batch, Extent, Source
from certledger.errors import CopyRefused
from certledger.eventstore.append import insert_rows
from certledger.eventstore.checkpoints import (
    StoredCheckpoint,
    count_checkpoints,
    insert_checkpoint,
)
from certledger.eventstore.continuation import Continuation
from certledger.eventstore.database import Database
from certledger.eventstore.head import Head, frontier_of, grow_head, lock_head, read_head
from certledger.eventstore.tables import log_entry
from certledger.projections.copy_mark import CopyMark, finish_mark, read_mark, set_mark
from certledger.projections.models import CERTIFICATES, retired
from certledger.projections.schema import prepare_copy

_LARGE: Final = (log_entry.name, CERTIFICATES.name, retired.name)


class Target:
    """Writes a registry in short transactions, each of which finds it as the one before left it."""

    def __init__(self, database: Database) -> None:
        """Take a database that is empty, or holds a part of the copy."""
        self.database = database
        self.checkpoints = 0
        """How many are there."""
        self._finished = False
        self._started_at: datetime | None = None

    def open(self, source: Source, extent: Extent, now: datetime) -> Continuation:
        """See that the database is empty, when the tables are made, or a part of this very copy.

        Returns where the log of the copy ends. Raises `CopyRefused`, when nothing was written,
        `NotARegistry`, `UpgradeNeeded` or another `StorageError`.
        """
        prepare_copy(self.database, extent.head, now)
        head, mark, self.checkpoints = self.database.read(
            lambda connection: (
                read_head(connection),
                read_mark(connection),
                count_checkpoints(connection),
            )
        )
        why = _refusal(head, mark, extent.head) or _other_beginning(head, source)
        if why is None and self.checkpoints > extent.checkpoints:
            why = f"has {self.checkpoints} stored checkpoints, the source has {extent.checkpoints}"
        if why is not None:
            message = f"{self.database} {why}; nothing was written"
            raise CopyRefused(message)
        self._finished = mark is not None and mark.finished_at is not None
        self._started_at = mark.started_at if mark is not None and not self._finished else None
        return Continuation(head.origin, frontier_of(head), head.recorded_at)

    def expect(self, extent: Extent, log: Continuation, now: datetime) -> None:
        """Say in the mark how far the copy is to go, and that it is not finished.

        Where all is there already, a finished copy stays as it is.
        """
        if self._finished and self._is_whole(extent, log.size):
            return
        self._finished = False
        self._started_at = self._started_at or now
        head, started_at = extent.head, self._started_at

        def work(connection: Connection, _retrying: bool) -> None:
            self._lock(connection, log.size, log.frontier.root())
            set_mark(
                connection,
                origin=head.origin,
                size=head.size,
                root=head.root,
                started_at=started_at,
            )

        self.database.write(work)

    def _is_whole(self, extent: Extent, size: int) -> bool:
        return (size, self.checkpoints) == (extent.head.size, extent.checkpoints)

    def append(self, batch: Batch) -> None:
        """Write entries in one transaction. Raises `CopyRefused` where somebody else has."""
        after = (batch.after.size, batch.after.root())
        start = batch.after.size - len(batch.rows)

        def work(connection: Connection, retrying: bool) -> None:
            head = lock_head(connection)
            if retrying and (head.size, head.root) == after:
                return  # it was committed, and the answer was lost
            self._require(head, start, batch.before)
            insert_rows(connection, batch.rows)
            if batch.recorded_at is not None:
                grow_head(connection, start, batch.after, batch.recorded_at)

        self.database.write(work)

    def add_checkpoints(self, page: Sequence[StoredCheckpoint]) -> None:
        """Write stored checkpoints as they are, in one transaction."""

        def work(connection: Connection, _retrying: bool) -> None:
            lock_head(connection)
            present = count_checkpoints(connection)
            for stored in page:
                if stored.number >= present:
                    insert_checkpoint(connection, stored)

        self.database.write(work)
        self.checkpoints += len(page)

    def finish(self, extent: Extent, now: datetime) -> None:
        """Say that the copy is whole, unless somebody has written to it since it was proved."""
        if self._finished:
            return

        def work(connection: Connection, _retrying: bool) -> None:
            self._lock(connection, extent.head.size, extent.head.root)
            finish_mark(connection, now)

        database = self.database
        database.write(lambda c, _: database.backend.take_statistics(c, _LARGE))
        database.write(work)

    def _lock(self, connection: Connection, size: int, root: bytes) -> None:
        self._require(lock_head(connection), size, root)

    def _require(self, head: Head, size: int, root: bytes) -> None:
        if (head.size, head.root) != (size, root):
            message = (
                f"somebody else writes to {self.database}: it had {size} entries, now it has "
                f"{head.size}; see that nothing uses it, and that no other copy goes on"
            )
            raise CopyRefused(message)


def _refusal(head: Head, mark: CopyMark | None, source: Head) -> str | None:
    """Say why a registry cannot be a part of the copy, None where it may be one."""
    if mark is None:
        return (
            f"is a registry of its own and no copy: {head.origin}, of size {head.size}; give a "
            "database without tables"
        )
    if (mark.origin, head.origin, head.created) != (source.origin, source.origin, source.created):
        return f"is a copy of another registry, {mark.origin}; the source is {source.origin}"
    if head.size > source.size:
        return (
            f"has {head.size} entries, the source has {source.size}: it is used already, or the "
            "source is an old state"
        )
    return None


def _other_beginning(head: Head, source: Source) -> str | None:
    root = source.root_at(head.size)
    if root == head.root:
        return None
    return (
        f"is no part of the source: the root hash of its {head.size} entries is "
        f"{head.root.hex()}, of as many of the source {root.hex()}; the two went different ways"
    )
