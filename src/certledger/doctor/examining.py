"""The examination of a registry: reading, and what was read judged by pure functions."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from certledger.doctor import mariadb, postgresql, sqlite
from certledger.doctor.checks import Check, run_checks
from certledger.doctor.registry import checks_of_registry, symptoms_of_versions
from certledger.errors import ReadOnlyRegistry
from certledger.eventstore.database import Database
from certledger.eventstore.symptom import Symptom
from certledger.eventstore.times import Clock, utc_now
from certledger.projections import schema


def examine(database: Database, clock: Clock = utc_now) -> list[Symptom]:
    """Tell what weakens the promise of a registry, or is worth knowing, the weak first.

    Nothing is changed, and a role that may only read is enough; what it may not look at is a note.
    Registries of other versions are examined, too. `clock` is this machine's, compared with the
    server's.

    Raises `NotARegistry`, `LogCorrupt` where the log's tables are not all there, or
    `StorageUnavailable`.
    """
    with _unchanged(database) as lent:
        found = [*_of_surroundings(lent), *_of_versions(lent), *_of_connection(lent, clock)]
    return sorted(found, key=lambda symptom: symptom.level != "weak")


@contextmanager
def _unchanged(database: Database) -> Iterator[Database]:
    """Lend the database, or another view of it where opening it would change it."""
    file = database.file
    reading = None
    if file is not None and file.is_file():
        reading = sqlite.reading_only(database, file)
    try:
        yield reading or database
    finally:
        if reading is not None:
            reading.close()


def _of_surroundings(database: Database) -> Iterator[Symptom]:
    file = database.file
    if file is not None and file.is_file():
        yield from sqlite.symptoms_of_file(database, file)


def _of_versions(database: Database) -> Iterator[Symptom]:
    try:
        yield from symptoms_of_versions(schema.examine(database), _command(database))
    except ReadOnlyRegistry as error:
        message = f"the versions of the tables could not be looked at: {error}"
        yield Symptom("note", "not-examined", message)


def _of_connection(database: Database, clock: Clock) -> list[Symptom]:
    checks = [*checks_of_registry(_command(database), clock), *_checks_of_reading(database, clock)]
    found = database.read(lambda connection: list(run_checks(connection, checks)))
    writing = _checks_of_writing(database)
    if writing:

        def look(connection: Connection, _retrying: bool) -> list[Symptom]:
            return list(run_checks(connection, writing))

        found += database.write(look)  # which writes nothing
    return found


def _checks_of_reading(database: Database, clock: Clock) -> tuple[Check, ...]:
    match database.backend.name:
        case "postgresql":
            return postgresql.checks_of_reading(database.url, clock)
        case "mariadb":
            return mariadb.checks_of_reading(database.url, clock)
    return sqlite.checks_of_reading()


def _checks_of_writing(database: Database) -> tuple[Check, ...]:
    match database.backend.name:
        case "postgresql":
            return postgresql.checks_of_writing()
        case "mariadb":
            return mariadb.checks_of_writing()
    return ()


def _command(database: Database) -> str:
    return f"certledger --db {shlex.quote(str(database))}"
