"""Verifying in several processes finds what one finds, in the same order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import repeat
from multiprocessing import active_children

import pytest

from certledger.eventstore.database import Database
from certledger.eventstore.statement import Row
from certledger.projections.verifying.entry import CheckedEntry, EntryCheck
from certledger.projections.verifying.hashes import verify_hashes
from certledger.projections.verifying.stored import entry_pages
from certledger.projections.verifying.workers import checked_pages
from tests.projections.conftest import LONG
from tests.support.intruder import intruder
from tests.support.populated import Registry

ENOUGH = 60
"""Pages: this process checks the first ones itself, until the workers have started."""


@pytest.fixture
def page(long: Registry) -> list[Row]:
    """A page of entries, the third of which was changed."""
    with intruder(long.file, log=True) as sql:
        sql.execute("UPDATE log_entry SET entry = x'7b7d' WHERE seq = 2")
    database = long.ledger.database
    with database.connect_alone() as connection:
        return next(entry_pages(database, connection, 200))


def checked(
    database: Database, pages: Iterator[list[Row]], jobs: int
) -> Iterator[list[CheckedEntry]]:
    return checked_pages(pages, database.url, database.engine.dialect, jobs)


def test_workers_find_what_this_process_finds(long: Registry, page: list[Row]) -> None:
    database = long.ledger.database
    alone = EntryCheck(database.engine.dialect).page(page)
    assert [found.kind for entry in alone for found in entry.findings] == ["entry-malformed"]
    used = 0
    for result in checked(database, repeat(page, ENOUGH), 2):
        used = max(used, len(active_children()))
        assert result == alone
    assert used == 2
    assert active_children() == []


def test_the_order_of_pages_is_kept(long: Registry, page: list[Row]) -> None:
    pages = [page[: 1 + number % len(page)] for number in range(ENOUGH)]
    found = list(checked(long.ledger.database, iter(pages), 3))
    assert [len(each) for each in found] == [len(each) for each in pages]


def test_who_stops_early_leaves_no_process_behind(long: Registry, page: list[Row]) -> None:
    running = checked(long.ledger.database, repeat(page), 2)
    for _ in range(ENOUGH):
        next(running)
    running.close()  # type: ignore[attr-defined] # it is a generator
    assert active_children() == []


def test_a_worker_that_is_killed_is_an_error(long: Registry, page: list[Row]) -> None:
    running = checked(long.ledger.database, repeat(page), 2)
    for _ in range(ENOUGH):
        next(running)
    with pytest.raises(ChildProcessError, match="was it killed"):  # noqa: PT012 # when is open
        for child in active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        for _ in range(ENOUGH):
            next(running)
    assert active_children() == []


def test_a_short_log_needs_no_process(long: Registry, page: list[Row]) -> None:
    for _ in checked(long.ledger.database, iter([page]), 2):
        assert active_children() == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_findings_are_the_same(long: Registry, jobs: int) -> None:
    assert list(long.ledger.verify(jobs=jobs)) == []
    with intruder(long.file, log=True) as sql:
        sql.execute("UPDATE log_entry SET actor = 'x' WHERE seq IN (3, 1100, 2400)")
    told = [(found.kind, found.seq, found.serial) for found in long.ledger.verify(jobs=jobs)]
    assert told == [("column", seq, seq + 1) for seq in (3, 1100, 2400)]


# The hashes alone


def test_the_hashes_of_a_clean_log_have_no_findings(long: Registry) -> None:
    told: list[tuple[int, int]] = []
    found = verify_hashes(long.ledger.database, lambda done, total: told.append((done, total)))
    assert list(found) == []
    assert told[-1] == (LONG, LONG)


@pytest.mark.parametrize(
    ("statement", "kinds"),
    [
        (
            "UPDATE log_entry SET entry = x'00' WHERE seq = 1500",
            ["leaf-hash", "head-root", "head-frontier"],
        ),
        ("UPDATE log_entry SET hashes = zeroblob(32) WHERE seq = 1500", ["hash-column"]),
        ("DELETE FROM log_entry WHERE seq = 1500", ["gap"]),
        ("DELETE FROM log_entry WHERE seq >= 1500", ["truncated"]),
        ("UPDATE log_head SET root = zeroblob(32)", ["head-root"]),
        ("DELETE FROM log_entry", ["truncated"]),
    ],
)
def test_the_hashes_alone_tell_what_was_changed(
    long: Registry, statement: str, kinds: list[str]
) -> None:
    with intruder(long.file, log=True) as sql:
        sql.execute(statement)
    assert [found.kind for found in verify_hashes(long.ledger.database)] == kinds
