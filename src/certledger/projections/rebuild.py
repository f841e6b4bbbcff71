"""Rebuilding the read model from the log: comparing, and applying only the differences."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from certledger.eventstore.database import Database
from certledger.projections.differences import Difference, Pair
from certledger.projections.mending import mend_range, set_projector_version
from certledger.projections.progress import Progress
from certledger.projections.recreating import recreate_tables
from certledger.projections.scratch import Scratch
from certledger.projections.walk import replayed, walk

logger = logging.getLogger("certledger")

OnDifference = Callable[[Difference], None]


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild found and mended, in both tables together."""

    events: int
    """How many entries of the log were replayed."""
    missing: int
    unexpected: int
    changed: int
    seconds: float

    @property
    def differences(self) -> int:
        """How many rows were mended."""
        return self.missing + self.unexpected + self.changed


def rebuild(
    database: Database,
    progress: Progress | None = None,
    on_difference: OnDifference | None = None,
    *,
    recreate: bool = False,
) -> RebuildReport:
    """Make `certificates` and `retired` equal to what the log demands.

    Only rows that differ are touched, in place where they exist, a range of ids at a time; others
    read and write meanwhile. Interrupted, it leaves right what it has mended, and the next run
    goes on. `on_difference` is told of each row after it was mended.

    `recreate` is for a table whose own structure is broken: both tables are made anew while nobody
    appends, in one transaction where the database can, else beside the old ones, which they then
    take the places of. Rows, views and foreign keys of the caller's stay, triggers on the tables do
    not.

    Raises `BrokenTable` where `recreate` is needed, `LogCorrupt` or `UnknownEventType` where the
    log cannot be replayed, `ConstraintFailed` where a constraint of the caller's keeps a row as
    it is, `ReadOnlyRegistry`, `StorageUnavailable`.
    """
    started = time.monotonic()
    counts: Counter[str] = Counter()
    late: list[Difference] = []
    in_memory = database.in_memory

    def tell(difference: Difference) -> None:
        if on_difference is not None:
            on_difference(difference)

    with replayed(database, progress, check=not recreate) as scratch:
        if recreate:
            recreate_tables(scratch)
            logger.warning("made the tables of the read model of %s anew", database)
        for pair, low, high, _ in walk(scratch, progress):
            for difference in _mend(scratch, pair, low, high):
                counts[difference.kind] += 1
                # The one connection of a database in memory is in use: others would wait for ever.
                (late.append if in_memory else tell)(difference)
        set_projector_version(scratch)
        events = scratch.position
    for difference in late:
        tell(difference)
    seconds = time.monotonic() - started
    report = RebuildReport(
        events, counts["missing"], counts["unexpected"], counts["changed"], seconds
    )
    logger.info("rebuilt the read model of %s: %s", database, report)
    return report


def _mend(scratch: Scratch, pair: Pair, low: int, high: int) -> list[Difference]:
    """Compare a range again while nobody can append, and apply what still differs."""
    mended = scratch.locked(lambda: list(mend_range(scratch, pair, low, high)))
    if mended:
        kinds = Counter(difference.kind for difference in mended)
        logger.info(
            "mended the table %s between the keys %d and %d: %s",
            pair.table.name,
            min(difference.key for difference in mended),
            max(difference.key for difference in mended),
            ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
        )
    return mended
