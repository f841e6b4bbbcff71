"""What weakens a registry on SQLite, and is gone when it is mended."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from certledger import Ledger
from certledger.doctor import examine
from certledger.doctor.sqlite import symptoms_of_version
from certledger.doctor.sqlite_files import LARGE_WAL, Place, symptoms_of_places, symptoms_of_wal
from certledger.errors import NotARegistry
from certledger.eventstore.database import Database
from certledger.testing.certificates import make_certificate
from tests.support.doctor import kinds, mend, only, symptoms, weak


@pytest.fixture
def registry(url: str) -> str:
    """The URL of a registry with one entry, closed."""
    with Ledger(url) as ledger:
        ledger.issue(make_certificate())
    return url


def run(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_registry_as_the_library_makes_it_has_nothing_weak(registry: str) -> None:
    assert symptoms(registry, but=["no-checkpoint"]) == []


def test_an_examination_changes_no_byte_and_leaves_no_file(registry: str, file: Path) -> None:
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    symptoms(registry)
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before


def test_what_is_no_registry_is_not_examined(url: str, file: Path) -> None:
    with pytest.raises(NotARegistry, match="there is no registry"):
        symptoms(url)
    assert not file.exists()
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(NotARegistry, match="is not an SQLite database"):
        symptoms(url)


def test_a_registry_that_others_are_writing_is_examined(registry: str) -> None:
    with Ledger(registry) as ledger:
        ledger.issue(make_certificate(serial=2))
        with closing(sqlite3.connect(ledger.database.file or "", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert weak(registry) == []


# Durability


def test_a_file_that_is_not_in_wal_mode_is_weak_until_the_pragma_has_run(
    registry: str, file: Path
) -> None:
    run(file, "PRAGMA journal_mode = DELETE")
    before = file.read_bytes()
    found = only(symptoms(registry), "durability")
    assert found.level == "weak"
    assert "journal_mode is 'delete' instead of 'wal'" in found.message
    assert file.read_bytes() == before, "an examination does not switch the file"
    mend(found, registry)
    assert weak(registry) == []


@pytest.mark.parametrize("setting", ["synchronous = NORMAL", "foreign_keys = OFF"])
def test_a_connection_that_was_set_otherwise_is_weak_until_the_pragma_has_run(
    registry: str, setting: str
) -> None:
    database = Database(registry)
    try:

        def weaken(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute(f"PRAGMA {setting}")

        event.listen(database.engine, "connect", weaken)
        found = only(examine(database), "durability")
        assert setting.split(maxsplit=1)[0] in found.message
        (step,) = found.mending

        def strengthen(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute(step.command)

        event.listen(database.engine, "connect", strengthen)
        database.close()
        assert "durability" not in kinds(examine(database))
    finally:
        database.close()


def test_a_registry_in_memory_is_weak() -> None:
    with Ledger("sqlite://") as ledger:
        found = only(examine(ledger.database), "durability")
    assert "lives in memory" in found.message


def test_a_cache_that_shows_what_is_not_committed_is_weak_until_the_pragma_has_run(
    registry: str,
) -> None:
    database = Database(registry)
    try:
        event.listen(
            database.engine, "connect", lambda c, _: c.execute("PRAGMA read_uncommitted = ON")
        )
        found = only(examine(database), "isolation")
        event.listen(database.engine, "connect", lambda c, _: c.execute(found.mending[0].command))
        database.close()
        assert "isolation" not in kinds(examine(database))
    finally:
        database.close()


# Permissions


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_that_everybody_can_write_is_weak_until_chmod_has_run(
    registry: str, file: Path, suffix: str
) -> None:
    with Ledger(registry) as ledger:
        ledger.issue(make_certificate(serial=2))  # so that there are all files
        each = Path(f"{file}{suffix}")
        each.chmod(0o646)
        found = only(symptoms(registry), "permissions")
        assert found.level == "weak"
        assert f"everybody can write {each}" in found.message
        mend(found, registry)
        assert stat.S_IMODE(each.stat().st_mode) == 0o644
        assert weak(registry) == []


@pytest.mark.parametrize("mode", [0o757, 0o1777])
def test_a_folder_that_everybody_can_write_is_weak_until_chmod_has_run(
    registry: str, file: Path, mode: int
) -> None:
    """Also a sticky one: who makes `registry.db-wal` there says what the registry holds."""
    file.parent.chmod(mode)
    found = [each for each in symptoms(registry) if each.kind == "permissions"]
    assert found
    assert f"can write files in {file.parent}" in found[0].message
    for each in found:
        mend(each, registry)
    assert weak(registry) == []


def test_a_group_of_others_that_can_write_is_weak_and_the_owners_own_is_not() -> None:
    path = Path("/srv/registry.db")
    (found,) = symptoms_of_places([Place(path, 0o100664, private_group=False)])
    assert "its group can write /srv/registry.db" in found.message
    assert found.mending[0].command == "chmod g-w /srv/registry.db"
    assert list(symptoms_of_places([Place(path, 0o100664, private_group=True)])) == []
    assert list(symptoms_of_places([Place(path, 0o100644, private_group=False)])) == []


def test_a_name_with_blanks_and_quotes_can_be_mended(tmp_path: Path) -> None:
    file = tmp_path / "it's a registry.db"
    url = f"sqlite:///{file}"
    Ledger(url).close()
    file.chmod(0o606)
    mend(only(symptoms(url), "permissions"), url)
    assert weak(url) == []


AS_A_READER = """
import json, sys
from tests.support import privileges
from tests.support.doctor import symptoms
privileges.drop()
print(json.dumps([[each.level, each.kind, each.message] for each in symptoms(sys.argv[1])]))
"""


@pytest.fixture
def read_only(registry: str, file: Path) -> Iterator[Path]:
    """The registry on read-only ground."""
    file.chmod(0o444)
    file.parent.chmod(0o555)
    yield file
    file.parent.chmod(0o755)


def test_a_file_that_cannot_be_written_is_a_note(registry: str, read_only: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_A_READER, registry],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    found = json.loads(done.stdout)
    assert [each[:2] for each in found] == [["note", "read-only"], ["note", "no-checkpoint"]]
    assert str(read_only) in found[0][2]


def test_a_url_that_opens_for_reading_only_is_a_note(registry: str) -> None:
    found = only(symptoms(f"{registry}?mode=ro"), "read-only")
    assert found.level == "note"


# The write-ahead log, and SQLite itself


def test_a_huge_write_ahead_log_is_a_note_until_it_is_begun_anew(registry: str, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM log_entry").fetchone()
        with closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("PRAGMA synchronous = OFF")
            writer.execute("CREATE TABLE other (blob BLOB)")
            writer.execute("INSERT INTO other VALUES (zeroblob(?))", (LARGE_WAL,))
        found = only(symptoms(registry), "wal-size")
        assert found.level == "note"
        reader.execute("COMMIT")
        mend(found, registry)
        assert "wal-size" not in kinds(symptoms(registry))


def test_a_write_ahead_log_of_the_usual_size_is_no_symptom() -> None:
    assert list(symptoms_of_wal(LARGE_WAL)) == []
    assert kinds(symptoms_of_wal(LARGE_WAL + 1)) == ["wal-size"]


@pytest.mark.parametrize(
    "version", [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 2)]
)
def test_a_version_of_sqlite_with_the_wal_reset_bug_is_a_note(
    version: tuple[int, int, int],
) -> None:
    (found,) = symptoms_of_version(version)
    assert (found.level, found.kind) == ("note", "sqlite-bug")
    assert "https://sqlite.org/wal.html#walresetbug" in found.message


@pytest.mark.parametrize(
    "version", [(3, 6, 23), (3, 44, 6), (3, 44, 9), (3, 50, 7), (3, 51, 3), (3, 52, 0), (4, 0, 0)]
)
def test_a_version_without_it_is_no_symptom(version: tuple[int, int, int]) -> None:
    assert list(symptoms_of_version(version)) == []
