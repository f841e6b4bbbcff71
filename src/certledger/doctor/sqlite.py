"""What is looked at on SQLite."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from certledger.doctor.checks import Check
from certledger.doctor.file_systems import read_mount, symptoms_of_mount
from certledger.doctor.sqlite_files import (
    is_writable,
    read_places,
    symptoms_of_places,
    symptoms_of_wal,
    symptoms_of_writing,
    wal_size,
)
from certledger.eventstore.backends.sqlite_files import is_opened_read_only
from certledger.eventstore.database import Database
from certledger.eventstore.symptom import Symptom, shell, sql

Version = tuple[int, int, int]

_ELSEWHERE: Final = "sqlite:////var/lib/certledger/registry.db"

_WAL_RESET_BUG: Final[tuple[tuple[Version, Version], ...]] = (
    ((3, 7, 0), (3, 44, 6)),
    ((3, 45, 0), (3, 50, 7)),
    ((3, 51, 0), (3, 51, 3)),
)
"""From and below which version: https://sqlite.org/wal.html#walresetbug"""


def symptoms_of_file(database: Database, file: Path) -> Iterator[Symptom]:
    """Look at a file and its surroundings, without opening it."""
    yield from symptoms_of_places(read_places(file))
    move = shell(f"certledger copy {shlex.quote(str(database))} {_ELSEWHERE}")
    yield from symptoms_of_mount(read_mount(file), file, move)
    writable = is_writable(file) and not is_opened_read_only(database.engine.url)
    yield from symptoms_of_writing(file, writable=writable)
    yield from symptoms_of_wal(wal_size(file))
    yield from symptoms_of_version(sqlite3.sqlite_version_info)


def symptoms_of_version(version: Version) -> Iterator[Symptom]:
    """Judge the version of SQLite that Python was linked with."""
    if any(first <= version < fixed for first, fixed in _WAL_RESET_BUG):
        number = ".".join(map(str, version))
        message = (
            f"SQLite {number} has the WAL-reset bug, unless its distributor has mended it: two "
            "processes that write and checkpoint in the same instant can, very rarely, damage the "
            "file (https://sqlite.org/wal.html#walresetbug); 3.51.3, 3.50.7 and 3.44.6 have not"
        )
        yield Symptom("note", "sqlite-bug", message)


def checks_of_reading() -> tuple[Check, ...]:
    """Return the checks of a transaction that reads."""
    return (Check("the isolation", _isolation),)


def _isolation(connection: Connection) -> Iterator[Symptom]:
    uncommitted = connection.exec_driver_sql("PRAGMA read_uncommitted").scalar()
    return symptoms_of_isolation(uncommitted=bool(uncommitted))


def symptoms_of_isolation(*, uncommitted: bool) -> Iterator[Symptom]:
    """Judge whether connections that share a cache see what others have not committed."""
    if uncommitted:
        message = "read_uncommitted is on: what was never committed can be read"
        yield Symptom("weak", "isolation", message, sql("PRAGMA read_uncommitted = OFF"))


def reading_only(database: Database, file: Path) -> Database | None:
    """Return the database opened for reading only, where opening it would change the file.

    That is where its header does not say WAL (SQLite file format §1.3.3): to be set up for writing
    a file is switched to it. None where it would not.
    """
    with file.open("rb") as stream:
        if stream.read(20)[18:] == b"\x02\x02":
            return None
    url = database.engine.url
    if is_opened_read_only(url):
        return None
    return Database(database.url.update_query_dict({"mode": "ro"}))
