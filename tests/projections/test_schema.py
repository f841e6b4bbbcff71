"""Making the tables: all of them or none, once, and nothing where something is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Connection

from certledger.errors import FormatTooNew, LogCorrupt, NotARegistry
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.tables import LOG_TABLES
from certledger.eventstore.triggers.sqlite import TRIGGERS
from certledger.projections import making
from certledger.projections.making import make_read_model
from certledger.projections.schema import prepare, versions
from certledger.testing.clock import FakeClock
from tests.support import raw

OURS = {*LOG_TABLES, "log_copy", "alembic_version", "certificates", "retired", "projection"}


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url, retry_seconds=20)
    yield opened
    opened.close()


def make(database: Database, *, create: bool = True, origin: str = "o") -> None:
    prepare(database, create=create, origin=origin, clock=FakeClock())


def objects(file: Path, kind: str) -> set[str]:
    found = raw.rows(file, "SELECT name FROM sqlite_master WHERE type = ?", kind)
    return {str(row["name"]) for row in found}


def test_all_tables_and_triggers_are_made(database: Database, file: Path) -> None:
    make(database)
    assert objects(file, "table") == OURS
    assert objects(file, "trigger") == set(TRIGGERS)
    assert database.read(versions) == {"schema": "0002", "projector": "1"}
    assert database.read(read_head).origin == "o"


def test_preparing_again_changes_nothing(database: Database, file: Path) -> None:
    make(database)
    database.close()
    before = file.read_bytes()
    make(database, origin="another")
    make(database, create=False)
    database.close()
    assert file.read_bytes() == before


def test_a_making_that_fails_leaves_no_table(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        message = "power failure"
        raise RuntimeError(message)

    with monkeypatch.context() as broken:
        broken.setattr(making, "insert_head", fail)
        with pytest.raises(RuntimeError, match="power failure"):
            make(database)
    assert objects(file, "table") == set()
    make(database)
    assert objects(file, "table") == OURS


@pytest.mark.parametrize("where", ["file", "sqlite://"])
def test_many_threads_make_one_registry(url: str, where: str) -> None:
    together = Barrier(6, timeout=30)
    shared = Database(url if where == "file" else where, retry_seconds=20)

    def work(number: int) -> str:
        database = shared if where != "file" else Database(url, retry_seconds=20)
        together.wait()
        make(database, origin=f"origin-{number}")
        origin = database.read(read_head).origin
        if database is not shared:
            database.close()
        return origin

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(work, range(6)))) == 1
    shared.close()


def test_an_empty_database_is_refused_unless_it_may_be_made(database: Database, file: Path) -> None:
    with pytest.raises(NotARegistry, match="certledger init"):
        make(database, create=False)
    assert not file.exists()


def test_tables_that_a_crash_left_behind_are_no_obstacle(database: Database, file: Path) -> None:
    """Of the read model alone nothing is lost: it is made of the log."""
    raw.rows(file, "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    make(database)
    assert objects(file, "table") == OURS


@pytest.mark.parametrize("missing", ["log_entry", "log_head"])
def test_half_of_a_log_is_damage(database: Database, file: Path, missing: str) -> None:
    make(database)
    with raw.opened(file) as stranger:
        stranger.execute(f"DROP TABLE {missing}")
    with pytest.raises(LogCorrupt, match="of the log's tables only"):
        make(database)
    assert missing not in objects(file, "table")


@pytest.mark.parametrize("missing", ["certificates", "retired", "projection", "alembic_version"])
def test_a_registry_without_a_table_of_the_read_model_opens(
    database: Database, file: Path, missing: str
) -> None:
    """So that `rebuild --recreate` can make it anew."""
    make(database)
    with raw.opened(file) as stranger:
        stranger.execute(f"DROP TABLE {missing}")
    make(database)
    assert missing not in objects(file, "table")

    def again(connection: Connection, _retrying: bool) -> None:
        make_read_model(connection)

    database.write(again)
    assert objects(file, "table") >= OURS - {"alembic_version"}


@pytest.mark.parametrize(
    ("edit", "what", "found", "known"),
    [
        ("UPDATE log_head SET format = 9", "format", "9", "1"),
        ("UPDATE alembic_version SET version_num = '0003'", "schema", "0003", "0002"),
        ("UPDATE projection SET version = 12", "projector", "12", "1"),
    ],
)
def test_what_is_newer_than_the_library_is_refused_with_both_versions(
    database: Database, file: Path, edit: str, what: str, found: str, known: str
) -> None:
    make(database)
    raw.edit(file, edit)
    match = f"{what} is {found}, this version of certledger knows {known}"
    with pytest.raises(FormatTooNew, match=match):
        make(database)
