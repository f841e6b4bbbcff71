"""Going through the read model range by range, in short transactions, while others go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from certledger.eventstore.database import Database
from certledger.projections.differences import HIGHEST, LOWEST, PAIRS, Difference, Pair
from certledger.projections.progress import Progress, share
from certledger.projections.scratch import Scratch, scratch_tables
from certledger.projections.structure import check_structure

RANGE: Final = 5_000
"""How many ids are compared at a time."""

_REPLAY: Final = 0.8
"""The share of the time that replaying the log takes; comparing takes the rest."""


@contextmanager
def replayed(
    database: Database,
    progress: Progress | None,
    *,
    check: bool = True,
    elsewhere: bool = False,
) -> Iterator[Scratch]:
    """Lend scratch tables that hold what the log demands; `elsewhere` is as for `scratch_tables`.

    Raises `BrokenTable` where `check` finds that the tables cannot be compared, `LogCorrupt` or
    `UnknownEventType` where the log cannot be replayed.
    """
    with scratch_tables(database, elsewhere=elsewhere) as scratch:
        if check:
            with scratch.transaction():
                check_structure(scratch.registry, tuple(pair.table for pair in PAIRS))
        scratch.fill(share(progress, 0.0, _REPLAY))
        yield scratch


def walk(
    scratch: Scratch, progress: Progress | None
) -> Iterator[tuple[Pair, int, int, list[Difference]]]:
    """Yield each range `(pair, low, high, differences)` of which table and log disagree."""
    middle = (1 + _REPLAY) / 2
    for pair, report in zip(
        PAIRS, (share(progress, _REPLAY, middle), share(progress, middle, 1.0)), strict=True
    ):
        low = LOWEST
        while True:
            with scratch.transaction():
                found, reached = _compare(scratch, pair, low)
            if found:
                yield pair, low, reached, found
            report(min(max(reached, 0), scratch.position), scratch.position)
            if reached == HIGHEST:
                break
            low = reached + 1


def _compare(scratch: Scratch, pair: Pair, low: int) -> tuple[list[Difference], int]:
    """Compare the next range from `low` on, as one snapshot shows table and log."""
    scratch.catch_up()
    high = max(low, 0) + RANGE
    if high > scratch.position:
        high = HIGHEST
    return scratch.differences(pair, low, high)
