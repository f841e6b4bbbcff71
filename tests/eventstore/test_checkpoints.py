"""Checkpoints that are stored: found again as they were, and changed by nobody with plain SQL."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from certledger.errors import LogCorrupt, NoCheckpoint, UnreadableValue
from certledger.eventstore.checkpoints import (
    StoredCheckpoint,
    checkpoint_of_size,
    newest_checkpoint,
    newest_of_key,
    store_checkpoint,
    stored_checkpoints,
)
from certledger.eventstore.database import Database
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.log import fill, make_log
from tests.support.signed import LOG_KEY, OTHER_KEY, VKEY, sign_log

OTHER_VKEY = OTHER_KEY.verifier_key.to_text()
TABLE = "SELECT * FROM log_checkpoint ORDER BY number"


@pytest.fixture
def log(url: str, clock: FakeClock) -> Iterator[Database]:
    database = make_log(url, clock)
    yield database
    database.close()


@pytest.fixture
def notes(log: Database, clock: FakeClock, tmp_path: Path) -> list[bytes]:
    """Three checkpoints of one key, of 0, 2 and 5 entries, an hour apart."""
    signed = [sign_log(log, tmp_path, clock)]
    for first, count in ((0, 2), (2, 3)):
        clock.step(hours=1)
        fill(log, clock, count, first=first)
        signed.append(sign_log(log, tmp_path, clock))
    return signed


def stored(database: Database) -> list[StoredCheckpoint]:
    return database.read(lambda c: list(stored_checkpoints(c)))


# Storing and finding


def test_checkpoints_come_back_in_order_and_byte_for_byte(
    log: Database, notes: list[bytes], clock: FakeClock
) -> None:
    found = stored(log)
    assert [(row.number, row.size, row.key, row.note) for row in found] == [
        (0, 0, VKEY, notes[0]),
        (1, 2, VKEY, notes[1]),
        (2, 5, VKEY, notes[2]),
    ]
    assert [clock.now - row.stored_at for row in found] == [
        timedelta(hours=2),
        timedelta(hours=1),
        timedelta(),
    ]


def test_all_pages_are_read(log: Database, clock: FakeClock) -> None:
    count = 250

    def store(connection: object, _retrying: bool) -> None:
        for number in range(count):
            store_checkpoint(
                connection,  # type: ignore[arg-type] # SQLAlchemy's
                size=0,
                root=bytes(32),
                key=VKEY,
                stored_at=clock(),
                note=b"%d" % number,
            )

    log.write(store)
    assert [row.note for row in stored(log)] == [b"%d" % number for number in range(count)]


def test_the_largest_is_the_newest_and_of_one_size_the_last(
    log: Database, notes: list[bytes], clock: FakeClock, tmp_path: Path
) -> None:
    assert log.read(newest_checkpoint).note == notes[2]
    other = sign_log(log, tmp_path, clock, OTHER_KEY)
    assert log.read(newest_checkpoint).note == other
    assert log.read(lambda c: checkpoint_of_size(c, 5)).note == other
    assert log.read(lambda c: checkpoint_of_size(c, 2)).note == notes[1]
    late = log.read(lambda c: checkpoint_of_size(c, 0))

    def store_late(connection: object, _retrying: bool) -> None:
        store_checkpoint(
            connection,  # type: ignore[arg-type] # SQLAlchemy's
            size=late.size,
            root=late.root,
            key=OTHER_VKEY,
            stored_at=clock(),
            note=b"of a slower signer",
        )

    log.write(store_late)
    assert log.read(newest_checkpoint).note == other


def test_each_key_has_a_newest_one(
    log: Database, notes: list[bytes], clock: FakeClock, tmp_path: Path
) -> None:
    assert log.read(lambda c: newest_of_key(c, OTHER_VKEY)) is None
    other = sign_log(log, tmp_path, clock, OTHER_KEY)
    for key, note in ((VKEY, notes[2]), (OTHER_VKEY, other)):
        found = log.read(lambda c, k=key: newest_of_key(c, k))  # type: ignore[misc] # binds the loop's value
        assert found is not None
        assert found.note == note


def test_where_none_is_stored_one_must_be_signed_first(log: Database) -> None:
    with pytest.raises(NoCheckpoint, match="sign one first, with `certledger checkpoint`"):
        log.read(newest_checkpoint)
    with pytest.raises(NoCheckpoint, match="no checkpoint of size 3 is stored"):
        log.read(lambda c: checkpoint_of_size(c, 3))
    assert stored(log) == []


def test_the_very_same_checkpoint_is_stored_once(
    log: Database, notes: list[bytes], clock: FakeClock
) -> None:
    before = stored(log)
    again = before[1]

    def store_again(connection: object, _retrying: bool) -> None:
        store_checkpoint(
            connection,  # type: ignore[arg-type] # SQLAlchemy's
            size=again.size,
            root=again.root,
            key=again.key,
            stored_at=clock(),
            note=again.note,
        )

    log.write(store_again)
    assert stored(log) == before
    assert len(before) == len(notes)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("size = 'many'", r"log_checkpoint 2: size is 'many'"),
        ("root = 5", r"log_checkpoint 2: root is 5"),
        ("key = x'00'", r"log_checkpoint 2: key is b'\\x00'"),
        ("note = 'text'", r"log_checkpoint 2: note is 'text'"),
        ("note = 4e99", r"log_checkpoint 2: note is 4e\+99"),
    ],
)
def test_a_value_of_another_type_is_damage(
    log: Database, notes: list[bytes], file: Path, damage: str, what: str
) -> None:
    assert notes
    raw.edit(file, f"UPDATE log_checkpoint SET {damage} WHERE number = 2")
    with pytest.raises(LogCorrupt, match=what):
        stored(log)


def test_a_time_that_is_none_is_damage(log: Database, notes: list[bytes], file: Path) -> None:
    assert notes
    raw.edit(file, "UPDATE log_checkpoint SET stored_at = 'late' WHERE number = 2")
    with pytest.raises(UnreadableValue):
        log.read(newest_checkpoint)


def test_a_checkpoint_below_the_first_number_is_seen(
    log: Database, notes: list[bytes], file: Path
) -> None:
    assert notes
    raw.edit(file, "UPDATE log_checkpoint SET number = -7 WHERE number = 2")
    assert [row.number for row in stored(log)] == [-7, 0, 1]


# The triggers


@pytest.fixture(scope="module")
def closed_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a log of three entries with checkpoints of 2 and 3."""
    folder = tmp_path_factory.mktemp("log")
    clock = FakeClock()
    database = make_log(f"sqlite:///{folder / 'registry.db'}", clock)
    for first, count in ((0, 2), (2, 1)):
        fill(database, clock, count, first=first)
        sign_log(database, folder, clock, LOG_KEY)
    database.close()
    return folder / "registry.db"


@pytest.fixture
def signed(closed_log: Path, file: Path) -> Path:
    """The test's own copy of that file."""
    return Path(shutil.copy(closed_log, file))


@pytest.fixture(params=["recursive_triggers=OFF", "recursive_triggers=ON"])
def stranger(request: pytest.FixtureRequest, signed: Path) -> Iterator[sqlite3.Connection]:
    """Plain SQL; REPLACE fires delete triggers with the second setting only."""
    with raw.opened(signed, request.param) as connection:
        yield connection


@contextmanager
def refused(file: Path, match: str = "log_checkpoint") -> Iterator[None]:
    """The block is refused by a trigger or constraint and leaves every value as it was."""
    before = raw.rows(file, TABLE)
    with pytest.raises(sqlite3.IntegrityError, match=match):
        yield
    assert raw.rows(file, TABLE) == before


def next_row(file: Path, **changes: object) -> raw.Row:
    """A row that could be the next, but for the changes."""
    return raw.rows(file, TABLE)[-1] | {"number": 2, "note": b"another"} | changes


@pytest.mark.parametrize("verb", ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
@pytest.mark.parametrize(
    "change",
    [
        "number = 9",
        "rowid = 9",
        "number = 0",
        "size = 1",
        "root = zeroblob(32)",
        "key = 'other'",
        "stored_at = '2000-01-01 00:00:00.000000'",
        "note = x'00'",
        "note = note",
    ],
)
def test_no_checkpoint_can_be_updated(
    stranger: sqlite3.Connection, signed: Path, verb: str, change: str
) -> None:
    with refused(signed, "no UPDATE"):
        stranger.execute(f"{verb} log_checkpoint SET {change} WHERE number = 1")


@pytest.mark.parametrize("where", ["", "WHERE number = 1", "WHERE size < 3"])
def test_no_checkpoint_can_be_deleted(
    stranger: sqlite3.Connection, signed: Path, where: str
) -> None:
    with refused(signed, "no DELETE"):
        stranger.execute(f"DELETE FROM log_checkpoint {where}")


@pytest.mark.parametrize(
    "verb",
    [
        "INSERT",
        "REPLACE",
        "INSERT OR REPLACE",
        "INSERT OR IGNORE",
        "INSERT OR FAIL",
        "INSERT {} ON CONFLICT DO NOTHING",
        "INSERT {} ON CONFLICT DO UPDATE SET note = x'00'",
        "INSERT {} ON CONFLICT (number) DO UPDATE SET size = 1",
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_no_insert_takes_the_place_of_a_checkpoint(
    stranger: sqlite3.Connection, signed: Path, verb: str, number: int
) -> None:
    with refused(signed, "number is not the next"):
        raw.insert(stranger, "log_checkpoint", next_row(signed, number=number), verb)


@pytest.mark.parametrize("number", [3, 100, -1, 2**63 - 1, "3", None])
def test_no_checkpoint_is_stored_out_of_order(
    stranger: sqlite3.Connection, signed: Path, number: object
) -> None:
    with refused(signed):
        raw.insert(stranger, "log_checkpoint", next_row(signed, number=number))


@pytest.mark.parametrize("size", [4, 2**63 - 1, -1, "three", b"\3", 2.5, None])
def test_no_checkpoint_is_stored_of_a_size_that_the_log_never_had(
    stranger: sqlite3.Connection, signed: Path, size: object
) -> None:
    with refused(signed):
        raw.insert(stranger, "log_checkpoint", next_row(signed, size=size))


def test_the_next_checkpoint_of_a_size_that_the_log_had_is_stored(signed: Path) -> None:
    with raw.opened(signed) as connection:
        for number, size in enumerate((0, 1, 3), start=2):
            raw.insert(connection, "log_checkpoint", next_row(signed, number=number, size=size))
    assert len(raw.rows(signed, TABLE)) == 5


@pytest.mark.parametrize("column", ["root", "key", "stored_at", "note"])
def test_no_value_is_written_past_the_triggers_by_incremental_io(signed: Path, column: str) -> None:
    with raw.opened(signed) as connection, pytest.raises(sqlite3.OperationalError, match="index"):
        connection.blobopen("log_checkpoint", column, 1)
