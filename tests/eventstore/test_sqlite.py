"""SQLite's own ways: URLs, settings read back, a look that changes nothing, error codes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from certledger.errors import StorageUnavailable
from certledger.eventstore.backends import sqlite, sqlite_files
from certledger.eventstore.database import Database
from tests.support import raw
from tests.support.processes import run_unprivileged


@pytest.mark.parametrize(
    ("url", "in_memory", "path"),
    [
        ("sqlite://", True, None),
        ("sqlite:///", True, None),
        ("sqlite:///:memory:", True, None),
        ("sqlite+pysqlite:///:memory:", True, None),
        ("sqlite:///file::memory:?cache=shared&uri=true", True, None),
        ("sqlite:///file:name?mode=memory&uri=true", True, None),
        ("sqlite:///x.db", False, "x.db"),
        ("sqlite:////tmp/x y.db", False, "/tmp/x y.db"),
        ("sqlite:////tmp/x%20y.db", False, "/tmp/x y.db"),
        ("sqlite:///file:x.db?uri=true", False, "x.db"),
        ("sqlite:///file:/tmp/x.db?mode=ro&uri=true", False, "/tmp/x.db"),
        ("sqlite:///file:///tmp/x.db?uri=true", False, "/tmp/x.db"),
        ("sqlite:///file:/tmp/x%2520y.db?uri=true", False, "/tmp/x y.db"),
        ("postgresql://host/x.db", False, None),
    ],
)
def test_a_url_tells_whether_there_is_a_file(url: str, in_memory: bool, path: str | None) -> None:
    parsed = make_url(url)
    assert sqlite_files.is_in_memory(parsed) is in_memory
    assert sqlite_files.file_of(parsed) == (None if path is None else Path(path))


@pytest.mark.parametrize(
    "name", ["plain.db", "with blank.db", "per%cent.db", "quest?ion.db", "ü#.db"]
)
def test_files_of_any_name_are_found_and_looked_into(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    url = make_url("sqlite://").set(database=str(file))
    database = Database(url)
    database.write(lambda connection, _: connection.exec_driver_sql("CREATE TABLE t (n)"))
    database.close()
    assert database.file == file
    assert file.is_file()
    assert sqlite_files.peek_tables(file) == frozenset({"t"})


# Opening read-only


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///{}?mode=ro",
        "sqlite:///file:{}?mode=ro",
        "sqlite:///file:{}?mode=ro&uri=true",
        "sqlite:///file://{}?mode=ro&uri=true",
        "sqlite:///{}?immutable=1",
    ],
)
def test_a_url_can_ask_for_reading_only(tmp_path: Path, url: str) -> None:
    """SQLAlchemy drops such arguments unless they stand behind `file:` and with `uri=true`."""
    file = tmp_path / "registry.db"
    writable = Database(f"sqlite:///{file}")
    writable.write(lambda connection, _: connection.exec_driver_sql("CREATE TABLE t (n)"))
    writable.close()
    database = Database(url.format(file))
    assert database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM t").scalar()) == 0
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.engine.raw_connection().execute("INSERT INTO t VALUES (1)")
    database.close()
    assert raw.rows(file, "SELECT * FROM t") == []


def test_a_file_that_can_be_written_is_opened_as_it_is_named(file: Path) -> None:
    sqlite3.connect(file).close()
    file.touch()
    url = make_url(f"sqlite:///{file}")
    assert sqlite_files.connectable(url) == url


GROUND = [
    # mode of file and folder, contents of the write-ahead log, what is asked of SQLite
    (0o644, 0o755, None, {}),
    (0o444, 0o755, None, {"mode": "ro"}),
    (0o444, 0o755, b"pages", {"mode": "ro"}),
    (0o444, 0o555, None, {"mode": "ro", "immutable": "1"}),
    (0o644, 0o555, None, {"mode": "ro", "immutable": "1"}),
    (0o444, 0o555, b"", {"mode": "ro", "immutable": "1"}),
    (0o444, 0o555, b"pages", {"mode": "ro"}),
]
_CONNECTABLE = """
import json, sys
from sqlalchemy.engine import make_url
from certledger.eventstore.backends import sqlite_files
urls = [sqlite_files.connectable(make_url(text)) for text in sys.argv[1:]]
print(json.dumps([[url.database, dict(url.query)] for url in urls]))
"""


def test_ground_that_cannot_be_written_is_asked_for_reading_only(tmp_path: Path) -> None:
    """`immutable` passes over a write-ahead log, so there must be nothing in it."""
    files = []
    for number, (file_mode, folder_mode, log, _) in enumerate(GROUND):
        folder = tmp_path / f"fol der {number}"
        folder.mkdir()
        files.append(folder / "registry.db")
        files[-1].touch()
        if log is not None:
            Path(f"{files[-1]}-wal").write_bytes(log)
        files[-1].chmod(file_mode)
        folder.chmod(folder_mode)
    try:
        found = run_unprivileged(_CONNECTABLE, *(f"sqlite:///{file}" for file in files))
    finally:
        for file in files:
            file.parent.chmod(0o755)
    assert json.loads(found) == [
        [file.as_uri().replace("file://", "file:"), {**arguments, "uri": "true"}]
        if arguments
        else [str(file), {}]
        for file, (*_, arguments) in zip(files, GROUND, strict=True)
    ]


# A look


def test_a_look_at_a_file_changes_no_byte_of_it(tmp_path: Path) -> None:
    file = tmp_path / "foreign.db"
    with raw.opened(file) as owner:
        owner.execute("CREATE TABLE things (n)")
    before = file.read_bytes()
    assert sqlite_files.peek_tables(file) == frozenset({"things"})
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["foreign.db"]


def test_a_look_sees_what_another_process_just_committed(file: Path) -> None:
    with raw.opened(file, "journal_mode=WAL") as owner:
        owner.execute("CREATE TABLE things (n)")
        assert sqlite_files.peek_tables(file) == frozenset({"things"})


def test_a_look_at_no_database_is_an_error(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database " * 200, encoding="utf-8")
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        sqlite_files.peek_tables(text)


# Settings


def test_settings_are_read_back_and_what_is_weak_is_told(url: str) -> None:
    database = Database(url)

    def weaken(setting: str) -> list[str]:
        with database.connect_alone() as connection:
            connection.connection.cursor().execute(f"PRAGMA {setting}")
            return [str(each) for each in database.backend.weaknesses(connection)]

    assert database.read(database.backend.weaknesses) == []
    assert weaken("synchronous=NORMAL")[0].startswith("synchronous is 1 instead of 2")
    assert weaken("foreign_keys=OFF")[0].startswith("foreign_keys is 0 instead of 1")
    database.close()
    memory = Database("sqlite://")
    assert "lives in memory" in memory.read(memory.backend.weaknesses)[0].message
    memory.close()


def test_a_connection_that_does_not_become_durable_is_refused() -> None:
    set_up = sqlite.SetUp(wait_seconds=0.1, durable=True)
    connection = sqlite3.connect(":memory:")
    with pytest.raises(StorageUnavailable, match="journal_mode at 'memory'"):
        set_up(connection, None)
    sqlite.SetUp(wait_seconds=0.1, durable=False)(connection, None)
    assert connection.isolation_level is None
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (100,)
    connection.close()


def test_the_size_counts_the_write_ahead_log(file: Path) -> None:
    assert sqlite_files.size_of(None) is None
    assert sqlite_files.size_of(file) == 0
    with raw.opened(file, "journal_mode=WAL") as owner:
        owner.execute("CREATE TABLE t (n)")
        log = Path(f"{file}-wal").stat().st_size
        assert log > 0
        assert sqlite_files.size_of(file) == file.stat().st_size + log
    assert sqlite_files.size_of(file) == file.stat().st_size


# Error codes


def _error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("text")
    error.sqlite_errorcode = code
    return error


def test_errors_are_told_apart_by_their_code_not_their_text() -> None:
    busy_snapshot, read_only_moved = 517, 1032  # extended codes
    for code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, busy_snapshot):
        assert sqlite.is_transient(_error(code))
        assert not sqlite.is_read_only(_error(code))
    for code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, read_only_moved):
        assert sqlite.is_read_only(_error(code))
        assert not sqlite.is_transient(_error(code))
    assert sqlite.is_no_database(_error(sqlite3.SQLITE_NOTADB))
    for told in (sqlite.is_transient, sqlite.is_read_only, sqlite.is_no_database):
        assert not told(ValueError("database is locked"))
