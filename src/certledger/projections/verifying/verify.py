"""Holding the log against its own rules, and the read model against the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from certledger.eventstore.database import Database
from certledger.projections.progress import Progress, share
from certledger.projections.scratch import Scratch, scratch_tables
from certledger.projections.verifying.agreement import Agreement
from certledger.projections.verifying.checkpoints import (
    CheckpointCheck,
    last_number,
    stored_pages,
    wanted_sizes,
)
from certledger.projections.verifying.entry import CheckedEntry
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.guards import check_durability, check_triggers
from certledger.projections.verifying.head import HeadCheck, check_values
from certledger.projections.verifying.order import OrderCheck
from certledger.projections.verifying.outside import Outside
from certledger.projections.verifying.places import (
    Place,
    add_places,
    read_places,
    stream_index,
)
from certledger.projections.verifying.state import check_state
from certledger.projections.verifying.stored import Extent, entry_pages, read_extent
from certledger.projections.verifying.streams import StreamCheck
from certledger.projections.verifying.tables import TablesCheck
from certledger.projections.verifying.tree import TreeCheck
from certledger.projections.verifying.workers import checked_pages

__all__ = ["Finding", "Outside", "verify"]

_ENTRIES: Final = 0.9
_STREAMS: Final = 0.95
"""The shares of the time after which each part ends; comparing the tables takes the rest."""


def verify(
    database: Database,
    progress: Progress | None = None,
    *,
    outside: Outside | None = None,
    jobs: int = 1,
) -> Iterator[Finding]:
    """Check the whole log as it is now, from the bytes of its entries, then the tables.

    Yields what is wrong (`finding`) or worth knowing (`note`) while it goes on. Nothing is
    changed, others read and write meanwhile, and a damaged entry does not keep the others from
    being checked. `outside` is what the log must agree with too. With `jobs` over 1 so many
    processes read and check the entries, each of which imports the program's main module; not of a
    database in memory.

    Raises `StorageError` only where the database cannot be read at all.
    """
    in_memory = database.in_memory
    found = _verify(database, progress, outside or Outside(), 1 if in_memory else jobs)
    # The one connection of a database in memory must be given back before the caller goes on.
    yield from list(found) if in_memory else found


def _verify(
    database: Database, progress: Progress | None, outside: Outside, jobs: int
) -> Iterator[Finding]:
    with scratch_tables(database, elsewhere=True) as scratch:
        try:
            with scratch.transaction():
                stream_index.create(scratch.connection)
            run = _Run(database, scratch, outside, jobs, progress)
            yield from run.findings()
        finally:
            if database.in_memory:
                with scratch.transaction():
                    stream_index.drop(scratch.connection, checkfirst=True)


@dataclass(frozen=True, slots=True)
class _Start:
    """What the first transaction saw."""

    extent: Extent
    sizes: set[int]
    """Of the checkpoints."""
    last_checkpoint: int | None
    findings: list[Finding]


class _Run:
    """One verification of a log as it is at its start."""

    def __init__(
        self,
        database: Database,
        scratch: Scratch,
        outside: Outside,
        jobs: int,
        progress: Progress | None,
    ) -> None:
        self._database = database
        self._scratch = scratch
        self._registry: Connection = scratch.registry
        self._outside = outside
        self._jobs = jobs
        self._progress = progress
        self._tables = TablesCheck(scratch)

    def findings(self) -> Iterator[Finding]:
        with self._scratch.transaction():
            start = self._begin()
        yield from start.findings
        head = HeadCheck(start.extent)
        tree = TreeCheck(start.extent.expected, start.sizes | head.sizes)
        yield from self._check_entries(start.extent, head, tree)
        yield from self._check_checkpoints(start, tree)
        yield from self._check_streams(start.extent)
        yield from self._tables.differences(share(self._progress, _STREAMS, 1.0))

    def _begin(self) -> _Start:
        connection = self._registry
        extent = read_extent(connection)
        self._tables.begin()
        return _Start(
            extent,
            wanted_sizes(connection, self._outside),
            last_number(connection),
            [
                *check_state(connection, self._database),
                *check_triggers(connection),
                *check_durability(self._database, connection),
                *check_values(extent, connection.dialect),
            ],
        )

    def _check_entries(self, extent: Extent, head: HeadCheck, tree: TreeCheck) -> Iterator[Finding]:
        """Check every entry by itself, order and tree, and then the head."""
        order = OrderCheck(extent.origin)
        progress = share(self._progress, 0.0, _ENTRIES)
        done, sizes, expected = 0, head.sizes, extent.expected
        for page in self._checked_pages(extent):
            self._keep(page, extent)
            for entry in page:
                yield from entry.findings
                yield from order.step(entry)
                yield from tree.add(
                    entry.seq, entry.hashes, entry.leaf, entry.subject, misplaced=entry.misplaced
                )
                if entry.seq + 1 in sizes:
                    head.step(entry.seq + 1, tree.peaks, entry.recorded)
            done += len(page)
            progress(done, max(expected, done))
        yield from order.finish()
        stated = extent.head
        whole = stated is not None and extent.size == extent.stop
        yield from tree.finish(stated.frontier if stated is not None and whole else None)
        if stated is not None:
            yield from head.finish(stated, tree.roots)

    def _checked_pages(self, extent: Extent) -> Iterator[list[CheckedEntry]]:
        pages = entry_pages(self._database, self._registry, extent.last)
        return checked_pages(pages, self._database.url, self._registry.dialect, self._jobs)

    def _keep(self, page: list[CheckedEntry], extent: Extent) -> None:
        """Write down what stream order and the comparison of the tables need."""
        with self._scratch.transaction():
            places = [entry.place for entry in page if entry.place is not None]
            add_places(self._scratch.connection, places)
            size = extent.size or 0
            self._tables.add([entry for entry in page if 0 <= entry.seq < size])

    def _check_checkpoints(self, start: _Start, tree: TreeCheck) -> Iterator[Finding]:
        agreement = Agreement(start.extent.stop, tree.roots)
        check = CheckpointCheck(start.extent.origin, agreement, self._outside)
        for page in stored_pages(self._database, self._registry, start.last_checkpoint):
            for row in page:
                yield from check.step(row)
        yield from check.finish()

    def _check_streams(self, extent: Extent) -> Iterator[Finding]:
        """Check the entries in stream order."""
        progress = share(self._progress, _ENTRIES, _STREAMS)
        check = StreamCheck()
        after: Place | None = None
        done = 0
        while True:
            with self._scratch.transaction():
                page = read_places(self._scratch.connection, after, self._registry)
            for place, event in page:
                yield from check.step(place, event)
                after = place
            done += len(page)
            progress(done, max(extent.expected, done))
            if not page:
                return
