"""Upgrading the tables of a registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from certledger.errors import LogCorrupt
from certledger.eventstore.backends import backend_of
from certledger.eventstore.database import Database
from certledger.eventstore.guarding import check_triggers, put_back
from certledger.eventstore.head import take_lock
from certledger.eventstore.tables import SCHEMA_VERSION, alembic_version, log_copy, log_head
from certledger.migrations.grants import grant_reading
from certledger.migrations.steps import Step, run_steps, steps_after
from certledger.projections.schema import look, refuse_newer, require_readable, table_names


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did."""

    before: str
    """The version of the tables before."""
    after: str
    steps: tuple[Step, ...]
    mended: tuple[str, ...]
    """What was missing, or was not the registry's, and is right again: tables and triggers."""


def upgrade(database: Database) -> Upgraded:
    """Bring the tables of a registry to the version that this library uses.

    Writers wait meanwhile. All happens in one transaction, where tables made in one vanish when it
    is rolled back; elsewhere an upgrade that was broken off goes on when it is run again. Entries
    stay as they are. Triggers of the log that are missing or changed are put back. Where nothing
    is to be done, nothing is written.

    Raises `NotARegistry`, `FormatTooNew`, `ReadOnlyRegistry`, `StorageUnavailable`, or `LogCorrupt`
    where the log cannot be guarded.
    """
    require_readable(database)
    if database.read(_is_done):
        return Upgraded(SCHEMA_VERSION, SCHEMA_VERSION, (), ())
    return database.write(lambda connection, _: _upgrade(connection, database))


def _is_done(connection: Connection) -> bool:
    return (
        _recorded(connection) == [SCHEMA_VERSION]
        and log_copy.name in table_names(connection)
        and not check_triggers(connection).wrong
    )


def _upgrade(connection: Connection, database: Database) -> Upgraded:
    with backend_of(connection).making(connection):
        take_lock(connection)
        found = look(connection, database)  # another upgrade, also a newer one, may have come first
        refuse_newer(found)
        before = found.schema
        mended = [*_record(connection, before)]
        steps = steps_after(before)
        tables = table_names(connection)
        run_steps(connection)
        mended += [*_make_missing(connection), *_put_back_triggers(connection)]
        for table in sorted(table_names(connection) - tables):
            grant_reading(connection, table, like=log_head.name)
    return Upgraded(before, SCHEMA_VERSION, steps, tuple(mended))


def _recorded(connection: Connection) -> list[str]:
    if alembic_version.name not in table_names(connection):
        return []
    return list(connection.scalars(select(alembic_version.c.version_num)))


def _record(connection: Connection, version: str) -> Iterator[str]:
    """Let the one row of `alembic_version` say from where Alembic is to go on."""
    if _recorded(connection) != [version]:
        alembic_version.create(connection, checkfirst=True)
        connection.execute(alembic_version.delete())
        connection.execute(alembic_version.insert().values(version_num=version))
        yield alembic_version.name


def _make_missing(connection: Connection) -> Iterator[str]:
    """Make a table that somebody dropped; the steps do not make it again."""
    if log_copy.name not in table_names(connection):
        log_copy.create(connection)
        yield log_copy.name


def _put_back_triggers(connection: Connection) -> Iterator[str]:
    for name in check_triggers(connection).wrong:
        put_back(connection, name)
        yield name
    wrong = check_triggers(connection).wrong
    if wrong:
        message = f"these triggers do not guard the log: {', '.join(wrong)}"
        raise LogCorrupt(message)
