"""The tables of a registry: making them, and telling a registry from anything else, also from one
of another version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, inspect, select

from certledger.errors import (
    FormatTooNew,
    IncompleteCopy,
    LogCorrupt,
    NotARegistry,
    UpgradeNeeded,
)
from certledger.eventstore.backends import backend_of
from certledger.eventstore.backends.sqlite_files import peek_tables
from certledger.eventstore.database import Database
from certledger.eventstore.head import Head, read_format, read_head
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import (
    FORMAT,
    LOG_TABLES,
    SCHEMA_VERSION,
    SCHEMA_VERSIONS,
    alembic_version,
    log_copy,
    log_head,
)
from certledger.eventstore.times import Clock
from certledger.projections.copy_mark import CopyMark, read_mark, set_mark
from certledger.projections.making import TABLES, is_unfinished, make
from certledger.projections.models import CERTIFICATES, PROJECTOR_VERSION, Base, projection

_LOG: Final = frozenset(LOG_TABLES)
_OURS: Final = frozenset(table.name for table in TABLES)
_SCHEMA_VERSION: Final = Statement(select(alembic_version.c.version_num))
_PROJECTOR_VERSION: Final = Statement(
    select(projection.c.version).where(projection.c.name == bindparam("read_model"))
)


@dataclass(frozen=True, slots=True)
class Registry:
    """What a database says of the registry in it."""

    format: int
    """Of entries and hashes, 0 where the head does not tell."""
    schema: str
    """The version of the tables; where none is recorded, what they look like."""
    projector: str
    """The version that made the read model, "" where none is recorded."""
    marked: bool
    """Whether there is the table for the mark of a copy."""


def prepare(database: Database, *, create: bool, origin: str, clock: Clock) -> None:
    """See that the database is a registry that can be used; make one where there is nothing.

    Several processes may do so at once. Where the tables exist, nothing is written.

    Raises `NotARegistry`, `FormatTooNew`, `UpgradeNeeded`, `IncompleteCopy`, `LogCorrupt` or what
    opening the database raises.
    """
    if not _peek(database, create=create):
        if not create:
            raise _nothing_in(database)
        database.write(lambda connection, _: _make_unless_made(connection, origin, clock))
    database.read(lambda connection: _require_usable(connection, database))


def prepare_copy(database: Database, source: Head, started_at: datetime) -> None:
    """See that the database is a registry that a copy could fill; make one where there is nothing.

    One that is made has the name and the age of the source, and is marked as an unfinished copy
    from its first moment on. Raises as `prepare` does, but not for copies.
    """
    if not _peek(database, create=True):

        def mark(connection: Connection) -> None:
            set_mark(
                connection,
                origin=source.origin,
                size=source.size,
                root=source.root,
                started_at=started_at,
            )

        database.write(
            lambda connection, _: _make_unless_made(
                connection, source.origin, lambda: source.created, then=mark
            )
        )
    database.read(lambda connection: _require_usable(connection, database, copying=True))


def examine(database: Database) -> Registry:
    """Look at a registry of any version, older or newer. Nothing is made or written.

    Raises `NotARegistry`, `LogCorrupt` or what opening the database raises.
    """
    if not _peek(database, create=False):
        raise _nothing_in(database)
    return database.read(lambda connection: look(connection, database))


def require_readable(database: Database) -> Registry:
    """Look at a registry whose log this version can read, also one that it could not use.

    Raises `FormatTooNew`, and what `examine` raises.
    """
    found = examine(database)
    refuse_newer(found)
    return found


def _peek(database: Database, *, create: bool) -> bool:
    """Tell whether there are tables of the log, by a look that creates and changes nothing."""
    path = database.file
    if path is None:
        return database.read(lambda connection: _is_there(connection, database, create=create))
    if not path.exists() or path.stat().st_size == 0:
        if not create:
            raise _nothing_in(database)
        return False
    try:
        names = peek_tables(path)
    except sqlite3.DatabaseError as error:
        message = f"{database} is not an SQLite database; give another file"
        raise NotARegistry(message) from error
    if names is None:
        return database.read(lambda connection: _is_registry(table_names(connection), database))
    return _is_registry(names, database)


def _is_there(connection: Connection, database: Database, *, create: bool) -> bool:
    """Tell a registry from an empty database, and from one in which it is just being made."""
    if not is_unfinished(connection):
        # Looked at after that, as it may have been finished meanwhile.
        return _is_registry(table_names(connection), database)
    if not create:
        message = (
            f"{database}: a registry is being made here, or was not made to its end: "
            "`certledger init` finishes it"
        )
        raise NotARegistry(message)
    return False


def _nothing_in(database: Database) -> NotARegistry:
    return NotARegistry(f"{database}: there is no registry; make one with `certledger init`")


def table_names(connection: Connection) -> frozenset[str]:
    """Return the names of all tables that there are."""
    return frozenset(inspect(connection).get_table_names())


def foreign_tables(connection: Connection) -> list[str]:
    """Return the names of the tables that are not the registry's."""
    return sorted(table_names(connection) - _OURS)


def _is_registry(names: frozenset[str], database: Database) -> bool:
    """Tell a registry from an empty database, by the names of its tables.

    Raises `NotARegistry` for anything else, `LogCorrupt` for half of a log.
    """
    log = names & _LOG
    if log == _LOG:
        return True
    if log:
        message = f"{database}: of the log's tables only {', '.join(sorted(log))} is there"
        raise LogCorrupt(message)
    if CERTIFICATES.name in names:
        message = (
            f"{database} holds a table of certificates without a log, as tiny_ca makes it, and "
            "stays as it is; adopting one will be the job of `certledger adopt`, until then "
            "register its certificates in a new registry"
        )
        raise NotARegistry(message)
    foreign = sorted(names - _OURS - frozenset(Base.metadata.tables))
    if foreign:
        message = (
            f"{database} holds tables of something else ({', '.join(foreign[:3])}) and stays as "
            "it is; give the registry a database of its own"
        )
        raise NotARegistry(message)
    return False


def _make_unless_made(
    connection: Connection,
    origin: str,
    clock: Clock,
    then: Callable[[Connection], None] | None = None,
) -> None:
    with backend_of(connection).making(connection):
        # Another process may have been faster; here nobody else can be.
        if log_head.name not in table_names(connection) or is_unfinished(connection):
            make(connection, origin, clock)
            if then is not None:
                then(connection)


def look(connection: Connection, database: Database) -> Registry:
    """Look at a registry of any version, in the caller's transaction. Raises as `examine`."""
    names = table_names(connection)
    if not _is_registry(names, database):
        raise _nothing_in(database)
    # A head that is damaged otherwise is for `verify` to tell of.
    log_format = read_format(connection)
    recorded = _versions(connection, names)
    marked = log_copy.name in names
    schema = recorded["schema"] or SCHEMA_VERSIONS[-1 if marked else 0]
    return Registry(log_format, schema, recorded["projector"], marked)


def _require_usable(connection: Connection, database: Database, *, copying: bool = False) -> None:
    found = look(connection, database)
    refuse_newer(found)
    if found.schema != SCHEMA_VERSION:
        raise UpgradeNeeded(database, found.schema, SCHEMA_VERSION)
    mark = mark_of(connection, found)
    if mark is not None and mark.finished_at is None and not copying:
        raise IncompleteCopy(database, mark.origin, read_head(connection).size, mark.size)


def mark_of(connection: Connection, found: Registry) -> CopyMark | None:
    """Return the mark of a registry that is a copy, None where it is none or too old to be one.

    Raises `UnreadableValue` for a mark that somebody edited.
    """
    known = found.schema in SCHEMA_VERSIONS
    return read_mark(connection) if found.marked and known else None


def refuse_newer(found: Registry) -> None:
    """Raise `FormatTooNew` for what this version of the library cannot read."""
    if found.format > FORMAT:
        raise FormatTooNew("format", found.format, FORMAT)
    if found.schema not in SCHEMA_VERSIONS:
        raise FormatTooNew("schema", found.schema, SCHEMA_VERSION)
    if found.projector.isdecimal() and int(found.projector) > PROJECTOR_VERSION:
        raise FormatTooNew("projector", found.projector, PROJECTOR_VERSION)


def versions(connection: Connection) -> dict[str, str]:
    """Return the versions of tables and projector that the database records, "" where none."""
    return _versions(connection, table_names(connection))


def _versions(connection: Connection, names: frozenset[str]) -> dict[str, str]:
    schema = _SCHEMA_VERSION.rows(connection) if alembic_version.name in names else []
    projector = (
        _PROJECTOR_VERSION.rows(connection, read_model=CERTIFICATES.name)
        if projection.name in names
        else []
    )
    return {
        # Of several rows, which only somebody else can have written, the newest counts.
        "schema": max((str(version) for (version,) in schema), default=""),
        "projector": str(projector[0][0]) if projector else "",
    }
