"""Drift: what the read model and the log disagree on. Mending it is in `rebuild`."""

from __future__ import annotations

from collections.abc import Iterator

from certledger.errors import BrokenTable
from certledger.eventstore.database import Database
from certledger.projections.differences import Difference
from certledger.projections.progress import Progress
from certledger.projections.rebuild import RebuildReport, rebuild
from certledger.projections.walk import replayed, walk

__all__ = ["BrokenTable", "Difference", "Progress", "RebuildReport", "drift", "rebuild"]


def drift(database: Database, progress: Progress | None = None) -> Iterator[Difference]:
    """Compare `certificates` and `retired` with what the log demands; nothing is changed.

    Yields every differing row while it goes on, each as one snapshot showed it; what others
    record meanwhile is no difference. Works where nothing can be written.

    Raises `BrokenTable` for a table whose own structure is broken, `LogCorrupt` or
    `UnknownEventType` where the log cannot be replayed.
    """
    found = _drift(database, progress)
    # The one connection of a database in memory must be given back before the caller goes on.
    yield from list(found) if database.in_memory else found


def _drift(database: Database, progress: Progress | None) -> Iterator[Difference]:
    with replayed(database, progress, elsewhere=True) as scratch:
        for _, _, _, found in walk(scratch, progress):
            yield from found
