"""A registry that is being filled by a copy is marked, and refused until it is whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from certledger import Ledger
from certledger.errors import IncompleteCopy, UnreadableValue
from certledger.eventstore.database import Database
from certledger.eventstore.head import Head, read_head
from certledger.projections.copy_mark import CopyMark, finish_mark, read_mark, set_mark
from certledger.projections.schema import prepare, prepare_copy
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.log import fill

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
END = datetime(2026, 11, 1, 13, tzinfo=UTC)
MARK = CopyMark("ca.example.org/source", 20, b"r" * 32, START, None)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url, retry_seconds=20)
    yield opened
    opened.close()


def make(database: Database) -> None:
    prepare(database, create=True, origin="o", clock=FakeClock())


def change(database: Database, work: Callable[[Connection], None]) -> None:
    database.write(lambda connection, _: work(connection))


def mark(database: Database, **values: Any) -> None:
    fields: dict[str, Any] = {
        "origin": MARK.origin,
        "size": 20,
        "root": MARK.root,
        "started_at": START,
    }
    change(database, lambda connection: set_mark(connection, **fields | values))


def test_a_registry_that_is_no_copy_has_no_mark(database: Database) -> None:
    make(database)
    assert database.read(read_mark) is None


def test_a_mark_is_read_as_it_was_set(database: Database) -> None:
    make(database)
    mark(database)
    assert database.read(read_mark) == MARK


def test_a_mark_that_is_set_again_replaces_the_one_before(database: Database) -> None:
    make(database)
    mark(database)
    change(database, lambda connection: finish_mark(connection, END))
    mark(database, size=25, started_at=END)
    assert database.read(read_mark) == CopyMark(MARK.origin, 25, MARK.root, END, None)


def test_an_unfinished_copy_is_refused_with_what_is_there_and_what_to_do(
    database: Database, url: str
) -> None:
    make(database)
    fill(database, FakeClock(), 3)
    mark(database)
    with pytest.raises(IncompleteCopy) as refused:
        Ledger(url)
    assert str(refused.value) == (
        f"{url} is an unfinished copy of ca.example.org/source: 3 of 20 entries are there; "
        f"finish it with `certledger copy SRC '{url}'`"
    )
    assert (refused.value.origin, refused.value.present, refused.value.wanted) == (
        MARK.origin,
        3,
        20,
    )


def test_the_one_who_copies_may_open_it(database: Database) -> None:
    make(database)
    mark(database)
    prepare_copy(database, database.read(read_head), END)
    found = database.read(read_mark)
    assert found is not None
    assert found.started_at == START


def test_a_registry_that_is_made_for_a_copy_is_marked_from_the_first_moment_on(
    database: Database, url: str
) -> None:
    head = Head(MARK.origin, 1, MARK.size, MARK.root, b"", START, datetime(2020, 2, 2, tzinfo=UTC))
    prepare_copy(database, head, START)
    assert database.read(read_mark) == MARK
    made = database.read(read_head)
    assert (made.origin, made.created, made.size) == (head.origin, head.created, 0)
    with pytest.raises(IncompleteCopy):
        Ledger(url)


def test_a_finished_copy_is_a_registry_like_any_other(database: Database, url: str) -> None:
    make(database)
    mark(database)
    change(database, lambda connection: finish_mark(connection, END))
    found = database.read(read_mark)
    assert found is not None
    assert found.finished_at == END
    Ledger(url).close()


def test_there_is_one_mark_only(database: Database, file: Path) -> None:
    make(database)
    mark(database)
    with pytest.raises(sqlite3.IntegrityError, match="ck_log_copy_one_row"):
        raw.rows(
            file, "INSERT INTO log_copy SELECT 2, origin, 0, root, started_at, 1 FROM log_copy"
        )


@pytest.mark.parametrize("edit", ["size = 'many'", "started_at = 'late'", "root = 'text'"])
def test_a_mark_that_somebody_edited_cannot_be_read(
    database: Database, file: Path, edit: str
) -> None:
    make(database)
    mark(database)
    raw.edit(file, f"UPDATE log_copy SET {edit}")
    with pytest.raises(UnreadableValue):
        database.read(read_mark)
