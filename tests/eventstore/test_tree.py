"""The hashes in the log's rows are those of the tree that RFC 6962 defines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certledger.errors import LogCorrupt
from certledger.eventstore.database import Database
from certledger.eventstore.reader import read_entries
from certledger.eventstore.tree import root_at, subtree_hashes
from certledger.testing.clock import FakeClock
from certledger.testing.rfc6962 import naive_root
from tests.support import raw
from tests.support.log import fill, make_log

SIZE = 70


@pytest.fixture
def log(url: str, clock: FakeClock) -> Iterator[Database]:
    """A log of 70 entries, of which some came alone and some together."""
    database = make_log(url, clock)
    for first, count in ((0, 1), (1, 1), (2, 30), (32, 1), (33, 37)):
        fill(database, clock, count, first=first)
    yield database
    database.close()


def entries_of(database: Database) -> list[bytes]:
    return [row.entry or b"" for row in database.read(lambda c: read_entries(c, 0, SIZE))]


def subtree(database: Database, level: int, index: int) -> bytes:
    return database.read(lambda c: subtree_hashes(c)(level, index))


def test_the_root_of_every_size_is_that_of_a_naive_tree(log: Database) -> None:
    entries = entries_of(log)
    assert len(entries) == SIZE
    for size in range(SIZE + 1):
        root = log.read(lambda c, n=size: root_at(c, n))  # type: ignore[misc] # binds the loop's value
        assert root == naive_root(entries[:size]), size


def test_every_perfect_subtree_has_the_hash_of_a_naive_tree(log: Database) -> None:
    entries = entries_of(log)
    for level in range(SIZE.bit_length()):
        for index in range(SIZE >> level):
            leaves = entries[index << level : (index + 1) << level]
            assert subtree(log, level, index) == naive_root(leaves), (level, index)


@pytest.mark.parametrize(("level", "index", "last"), [(0, 70, 70), (1, 35, 71), (7, 0, 127)])
def test_a_subtree_that_is_not_complete_has_no_hash(
    log: Database, level: int, index: int, last: int
) -> None:
    with pytest.raises(LogCorrupt, match=rf"entry {last}: the hash of the subtree of 2\^{level} "):
        subtree(log, level, index)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log_entry SET hashes = substr(hashes, 1, 40) WHERE seq = 7",
        "UPDATE log_entry SET hashes = x'' WHERE seq = 7",
        "UPDATE log_entry SET hashes = hex(hashes) WHERE seq = 7",
        "UPDATE log_entry SET hashes = 4711 WHERE seq = 7",
        "DELETE FROM log_entry WHERE seq = 7",
    ],
)
def test_a_missing_hash_names_its_entry(log: Database, file: Path, damage: str) -> None:
    raw.edit(file, damage)
    with pytest.raises(LogCorrupt, match=r"entry 7: the hash of the subtree of 2\^3 leaves"):
        subtree(log, 3, 0)
    with pytest.raises(LogCorrupt) as caught:
        log.read(lambda c: root_at(c, 8))
    assert caught.value.seq == 7
