"""Units of work on a real SQLite database: settings, locks, retries, threads, interruptions."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Connection

from certledger.errors import (
    ConstraintFailed,
    InvalidValue,
    LedgerError,
    LogCorrupt,
    NotARegistry,
    StorageUnavailable,
    UnknownSerial,
    UnreadableValue,
)
from certledger.eventstore.database import Database
from tests.support import raw

DURABLE = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
IN_MEMORY = [
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite+pysqlite:///:memory:",
    "sqlite:///file::memory:?uri=true",
    "sqlite:///file:unit?mode=memory&cache=shared&uri=true",
    "sqlite:///unit?mode=memory",
]


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url, retry_seconds=5)
    opened.write(lambda connection, _: _execute(connection, "CREATE TABLE t (n INTEGER UNIQUE)"))
    yield opened
    opened.close()


def _execute(connection: Connection, sql: str) -> list[Any]:
    result = connection.exec_driver_sql(sql)
    return list(result) if result.returns_rows else []


def add(number: int) -> Callable[[Connection, bool], None]:
    def work(connection: Connection, _retrying: bool) -> None:
        _execute(connection, f"INSERT INTO t VALUES ({number})")

    return work


def numbers(database: Database) -> list[int]:
    return [row[0] for row in database.read(lambda c: _execute(c, "SELECT n FROM t ORDER BY n"))]


def settings_of(connection: Connection) -> dict[str, object]:
    return {name: _execute(connection, f"PRAGMA {name}")[0][0] for name in DURABLE}


def driver_connection(connection: Connection) -> int:
    return id(connection.connection.dbapi_connection)


# Settings


def test_every_pooled_connection_reads_back_durable_settings(database: Database) -> None:
    """Twelve threads hold a connection each at the same time."""
    together = Barrier(12, timeout=30)

    def look(connection: Connection) -> tuple[int, dict[str, object]]:
        together.wait()
        found = driver_connection(connection), settings_of(connection)
        together.wait()
        return found

    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda _: database.read(look), range(12)))
    assert len({connection for connection, _ in found}) == 12
    assert [settings for _, settings in found] == [DURABLE] * 12


def test_the_writer_s_connection_and_a_lent_one_are_durable_too(database: Database) -> None:
    assert database.write(lambda connection, _: settings_of(connection)) == DURABLE
    with database.connect_alone() as connection, database.transaction(connection):
        assert settings_of(connection) == DURABLE
    database.close()
    assert database.write(lambda connection, _: settings_of(connection)) == DURABLE
    assert database.read(settings_of) == DURABLE


@pytest.mark.parametrize("vfs", ["unix-dotfile", "unix-none"])
def test_a_file_that_cannot_have_a_write_ahead_log_is_refused(file: Path, vfs: str) -> None:
    """These ways of locking have no shared memory, like some network file systems."""
    database = Database(f"sqlite:///file:{file}?vfs={vfs}&uri=true", retry_seconds=0.1)
    for unit in (database.read, database.write):
        with pytest.raises(StorageUnavailable, match=r"journal_mode at 'delete'.* local file"):
            unit(lambda *_: None)
    with pytest.raises(StorageUnavailable), database.connect_alone():
        pass
    assert not file.exists() or file.stat().st_size == 0


# Locks


def test_reading_never_takes_the_write_lock(database: Database, file: Path) -> None:
    database.write(add(1))

    def work(connection: Connection) -> list[Any]:
        first = _execute(connection, "SELECT n FROM t")
        with raw.opened(file, "busy_timeout=0") as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            stranger.execute("INSERT INTO t VALUES (2)")
            stranger.execute("COMMIT")
        return [first, _execute(connection, "SELECT n FROM t")]

    assert database.read(work) == [[(1,)], [(1,)]], "one snapshot for the whole unit"
    assert numbers(database) == [1, 2]


def test_reading_goes_on_while_another_process_writes(database: Database, file: Path) -> None:
    database.write(add(1))
    with raw.opened(file) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        stranger.execute("INSERT INTO t VALUES (2)")
        assert numbers(database) == [1]
        with database.connect_alone() as connection, database.transaction(connection):
            assert _execute(connection, "SELECT n FROM t") == [(1,)]


def test_a_read_unit_must_not_write_past_others(database: Database, file: Path) -> None:
    """A snapshot that became old cannot become a writer: SQLite says busy, and it is run anew."""
    attempts = []

    def work(connection: Connection) -> None:
        attempts.append(_execute(connection, "SELECT n FROM t"))
        if len(attempts) == 1:
            with raw.opened(file) as stranger:
                stranger.execute("INSERT INTO t VALUES (1)")
        _execute(connection, "INSERT INTO t VALUES (2)")

    database.read(work)
    assert attempts == [[], [(1,)]]


def test_a_locked_database_is_waited_for(file: Path, database: Database) -> None:
    """The lock is let go after the first attempt; the second one knows that it is one."""
    with raw.opened(file) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        asked: list[None] = []

        def clock() -> float:
            asked.append(None)
            if len(asked) == 2:
                stranger.execute("ROLLBACK")
            return 0.0

        waiting = Database(database.url, retry_seconds=0.05, clock=clock)
        assert waiting.write(lambda _, retrying: retrying) is True
        waiting.close()


def test_a_database_that_stays_locked_is_unavailable_with_attempts_and_time(
    file: Path, database: Database
) -> None:
    ticks = iter(range(100))
    waiting = Database(database.url, retry_seconds=0.03, clock=lambda: next(ticks) / 100)
    before = raw.rows(file, "SELECT * FROM t")
    with raw.opened(file) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match=r"database is locked.*3 attempts") as caught:
            waiting.write(add(1))
    assert caught.value.attempts == 3
    assert caught.value.seconds == pytest.approx(0.03)
    assert raw.rows(file, "SELECT * FROM t") == before
    waiting.write(add(1))
    waiting.close()
    assert numbers(database) == [1]


def test_a_locked_database_is_waited_for_by_the_clock_on_the_wall(
    file: Path, database: Database
) -> None:
    waiting = Database(database.url, retry_seconds=0.3)
    with raw.opened(file) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable) as caught:
            waiting.write(add(1))
    waiting.close()
    assert 0.3 <= caught.value.seconds < 30
    assert caught.value.attempts >= 1


def test_reading_waits_for_one_who_locks_out_everybody(file: Path, database: Database) -> None:
    database.close()
    stranger = sqlite3.connect(file, isolation_level=None)
    stranger.execute("PRAGMA locking_mode=EXCLUSIVE")
    stranger.execute("INSERT INTO t VALUES (1)")
    asked: list[None] = []

    def clock() -> float:
        asked.append(None)
        if len(asked) == 2:
            stranger.close()
        return 0.0

    waiting = Database(database.url, retry_seconds=0.05, clock=clock)
    assert numbers(waiting) == [1]
    assert len(asked) >= 2
    waiting.close()


# Failures inside of a unit of work


class Stop(BaseException):
    """Something that no `except Exception` sees."""


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        (interrupt, KeyboardInterrupt),
        (lambda: _raise(Stop()), Stop),
        (lambda: _raise(SystemExit(3)), SystemExit),
        (lambda: _raise(UnknownSerial("serial 1")), UnknownSerial),
        (lambda: _raise(ZeroDivisionError()), ZeroDivisionError),
    ],
    ids=["interrupt", "stop", "exit", "refusal", "fault"],
)
@pytest.mark.parametrize("where", ["file", *IN_MEMORY])
def test_a_unit_of_work_that_is_broken_off_leaves_nothing(
    url: str, where: str, fail: Callable[[], None], error: type[BaseException]
) -> None:
    database = Database(url if where == "file" else where, retry_seconds=5)
    database.write(lambda connection, _: _execute(connection, "CREATE TABLE t (n INTEGER UNIQUE)"))
    database.write(add(1))

    def work(connection: Connection, _retrying: bool) -> None:
        _execute(connection, "INSERT INTO t VALUES (2)")
        fail()

    with pytest.raises(error):
        database.write(work)
    assert numbers(database) == [1]
    database.write(add(2))
    assert numbers(database) == [1, 2]
    with pytest.raises(error):
        database.read(lambda _: fail())
    assert numbers(database) == [1, 2]
    database.close()


def test_an_interrupted_writer_holds_no_lock(database: Database, file: Path) -> None:
    def work(connection: Connection, _retrying: bool) -> None:
        _execute(connection, "INSERT INTO t VALUES (2)")
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        database.write(work)
    with raw.opened(file, "busy_timeout=0") as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        assert stranger.execute("SELECT count(*) FROM t").fetchone()[0] == 0


@pytest.mark.parametrize(
    ("sql", "error", "match"),
    [
        ("INSERT INTO t VALUES (1)", ConstraintFailed, "UNIQUE constraint failed: t.n"),
        ("SELECT * FROM nowhere", StorageUnavailable, "no such table: nowhere"),
        ("SELECT CAST(x'ff' AS TEXT)", UnreadableValue, "Could not decode to UTF-8"),
    ],
)
def test_what_the_driver_raises_becomes_a_typed_error(
    database: Database, sql: str, error: type[LedgerError], match: str
) -> None:
    database.write(add(1))
    with pytest.raises(error, match=match):
        database.write(lambda connection, _: _execute(connection, sql))
    with pytest.raises(error, match=match):
        database.read(lambda connection: _execute(connection, sql))
    with (
        pytest.raises(error, match=match),
        database.connect_alone() as connection,
        database.transaction(connection, writing=True),
    ):
        _execute(connection, sql)
    assert numbers(database) == [1]


def test_what_a_trigger_of_the_log_refuses_is_called_damage(database: Database) -> None:
    trigger = "CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'log_head: no'); END"
    database.write(lambda connection, _: _execute(connection, trigger))
    with pytest.raises(LogCorrupt, match="log_head: no"):
        database.write(add(1))


def test_a_file_of_something_else_is_no_registry(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("This is no database. " * 100, encoding="utf-8")
    database = Database(f"sqlite:///{text}")
    with pytest.raises(NotARegistry, match="not an SQLite database"):
        database.read(lambda connection: _execute(connection, "SELECT 1"))
    with pytest.raises(NotARegistry), database.connect_alone():
        pass


# Threads


@pytest.mark.parametrize("where", ["file", *IN_MEMORY])
def test_threads_share_a_database_and_lose_nothing(url: str, where: str) -> None:
    database = Database(url if where == "file" else where, retry_seconds=20)
    database.write(lambda connection, _: _execute(connection, "CREATE TABLE t (n INTEGER UNIQUE)"))
    together = Barrier(8, timeout=30)

    def work(thread: int) -> None:
        together.wait()
        for step in range(15):
            database.write(add(thread * 100 + step))
            assert thread * 100 + step in numbers(database)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert numbers(database) == [thread * 100 + step for thread in range(8) for step in range(15)]
    database.close()


def test_a_counter_read_and_written_by_threads_loses_no_step(database: Database) -> None:
    """Whoever writes holds the lock from the beginning, so nothing that was read is old."""
    database.write(add(0))

    def step(connection: Connection, _retrying: bool) -> None:
        ((number,),) = _execute(connection, "SELECT n FROM t")
        _execute(connection, f"UPDATE t SET n = {number + 1}")

    other = Database(database.url, retry_seconds=20)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: (database, other)[n % 2].write(step), range(120)))
    other.close()
    assert numbers(database) == [120]


@pytest.mark.parametrize("where", IN_MEMORY)
def test_a_database_in_memory_has_no_file_and_no_second_connection(where: str) -> None:
    database = Database(where, retry_seconds=0.05)
    assert database.file is None
    with (
        database.connect_alone(),
        pytest.raises(StorageUnavailable),
    ):
        database.read(lambda connection: _execute(connection, "SELECT 1"))
    assert database.read(lambda connection: _execute(connection, "SELECT 1")) == [(1,)]
    database.close()


def test_a_lent_connection_is_nobody_else_s(database: Database) -> None:
    with database.connect_alone() as lent:
        others = {database.read(driver_connection) for _ in range(3)}
        assert driver_connection(lent) not in others
        database.write(add(1))
        with database.transaction(lent, writing=True):
            _execute(lent, "INSERT INTO t VALUES (2)")
        with database.transaction(lent):
            assert _execute(lent, "SELECT n FROM t ORDER BY n") == [(1,), (2,)]
    assert numbers(database) == [1, 2]


def test_a_closed_database_opens_anew(database: Database) -> None:
    database.write(add(1))
    database.close()
    database.close()
    database.write(add(2))
    assert numbers(database) == [1, 2]


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "nope://alice:s3cret@host/x",
        "nope://host/x?password=s3cret",
        "nope://host/x?sslpassword=s3cret",
        "sqlite//alice:s3cret@host",
        "sqlite://alice:s3cret@host:port/x",
        "sqlite://alice:s3cr/et@host/x",
        "sqlite:///x?timeout=s3cret&password=s3cret",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidValue, match=r"no database URL|cannot be kept in nope") as caught:
        Database(url)
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "x.db", "/tmp/x.db", "sqlite", "sqlite+nope:///x.db"])
def test_a_text_that_is_no_url_is_refused_and_named(url: str) -> None:
    with pytest.raises(InvalidValue, match="no database URL") as caught:
        Database(url)
    assert repr(url) in str(caught.value)


def test_the_password_of_a_url_is_never_shown(file: Path) -> None:
    url = f"sqlite:///{file}?password=s3cret"
    with pytest.warns(Warning, match="ignored"):
        database = Database(url)
    database.write(lambda connection, _: _execute(connection, "CREATE TABLE t (n INTEGER UNIQUE)"))
    assert "s3cret" not in str(database)
    assert f"{database}".endswith("?password=%2A%2A%2A")
    with pytest.raises(StorageUnavailable) as caught:
        database.read(lambda connection: _execute(connection, "SELECT * FROM nowhere"))
    assert "s3cret" not in str(caught.value)
    database.close()
