"""What is looked at in every registry, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, select

from certledger.doctor.checks import Check
from certledger.doctor.clocks import symptoms_of_last_entry
from certledger.eventstore.backends import backend_of
from certledger.eventstore.guarding import Triggers, check_triggers
from certledger.eventstore.head import Head, read_head
from certledger.eventstore.symptom import Mend, Symptom, shell, sql
from certledger.eventstore.tables import (
    FORMAT,
    LOG_TABLES,
    SCHEMA_VERSION,
    SCHEMA_VERSIONS,
    log_checkpoint,
    log_copy,
)
from certledger.eventstore.times import Clock
from certledger.projections.copy_mark import CopyMark, read_mark
from certledger.projections.models import PROJECTOR_VERSION
from certledger.projections.schema import Registry, table_names
from certledger.text import safe

_CHECKPOINT: Final = select(log_checkpoint.c.number).limit(1)
_NEWER: Final = shell("python -m pip install --upgrade certledger")


def checks_of_registry(command: str, clock: Clock) -> tuple[Check, ...]:
    """Return the checks; `command` is how certledger is called on this registry."""

    def triggers(connection: Connection) -> Iterator[Symptom]:
        tables = _tables_of_triggers(connection)
        return symptoms_of_triggers(
            check_triggers(connection), shell(f"{command} db upgrade"), tables
        )

    def interferences(connection: Connection) -> list[Symptom]:
        return backend_of(connection).interferences(connection, LOG_TABLES)

    def durability(connection: Connection) -> list[Symptom]:
        return backend_of(connection).weaknesses(connection)

    def last_entry(connection: Connection) -> Iterator[Symptom]:
        return symptoms_of_last_entry(clock(), read_head(connection).recorded_at)

    def copy(connection: Connection) -> Iterator[Symptom]:
        there = log_copy.name in table_names(connection)
        return symptoms_of_copy(read_mark(connection) if there else None, command)

    def checkpoints(connection: Connection) -> Iterator[Symptom]:
        there = connection.execute(_CHECKPOINT).first() is not None
        return symptoms_of_checkpoints(read_head(connection), command, there=there)

    return (
        Check("durability", durability),
        Check("the triggers of the log", triggers),
        Check("what else acts on the log", interferences),
        Check("the mark of a copy", copy),
        Check("the time of the last entry", last_entry),
        Check("the checkpoints", checkpoints),
    )


def symptoms_of_triggers(
    triggers: Triggers, mending: tuple[Mend, ...], tables: dict[str, str]
) -> Iterator[Symptom]:
    """Judge the triggers; `tables` gives what removes an unknown one the name of its table."""
    if triggers.missing:
        message = f"the log is open to changes: {_are(triggers.missing)} missing"
        yield Symptom("weak", "trigger-missing", message, mending)
    if triggers.changed:
        message = f"the log is open to changes: {_are(tuple(triggers.changed))} not the registry's"
        yield Symptom("weak", "trigger-missing", message, mending)
    if triggers.hidden:
        message = (
            f"{_are(triggers.hidden)} there, but their words are not shown to this account: let "
            "the owner of the tables look"
        )
        yield Symptom("note", "trigger-hidden", message)
    for name in triggers.unknown:
        message = f"the trigger {safe(name)} on the log is not the registry's"
        yield Symptom("note", "trigger-unknown", message, sql(tables[name]))


def _are(names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return f"the trigger {names[0]} is"
    return f"the triggers {', '.join(names)} are"


def _tables_of_triggers(connection: Connection) -> dict[str, str]:
    """Return for each trigger on the log the statement that removes it."""
    backend = backend_of(connection)
    quote = connection.dialect.identifier_preparer.quote_identifier
    return {
        name: f"DROP TRIGGER {quote(name)}"
        + (f" ON {table}" if connection.dialect.name == "postgresql" else "")
        for table in LOG_TABLES
        for name in backend.stored_triggers(connection, (table,))
    }


def symptoms_of_checkpoints(head: Head, command: str, *, there: bool) -> Iterator[Symptom]:
    """Judge whether a log that has entries was ever signed."""
    if head.size == 0 or there:
        return
    message = (
        "no checkpoint was ever signed: a log that somebody rewrote, or cut off, cannot be told "
        "from the true one"
    )
    mending = shell(
        f"certledger key new --name {head.origin} --output log.key",
        f"{command} checkpoint --key log.key --output log.checkpoint",
    )
    yield Symptom("note", "no-checkpoint", message, mending)


def symptoms_of_copy(mark: CopyMark | None, command: str) -> Iterator[Symptom]:
    """Judge whether a registry that is a copy is whole."""
    if mark is None or mark.finished_at is not None:
        return
    message = f"the registry is an unfinished copy of {mark.origin}: it is not opened for use"
    target = command.removeprefix("certledger --db ")
    yield Symptom("weak", "copy-unfinished", message, shell(f"certledger copy SRC {target}"))


def symptoms_of_versions(found: Registry, command: str) -> Iterator[Symptom]:
    """Judge the versions of format, tables and read model."""
    newer = found.projector.isdecimal() and int(found.projector) > PROJECTOR_VERSION
    if found.format > FORMAT or found.schema not in SCHEMA_VERSIONS or newer:
        message = (
            f"format {found.format}, schema {found.schema}, projector {found.projector}: a newer "
            f"certledger wrote the registry, this one knows {FORMAT}, {SCHEMA_VERSION}, "
            f"{PROJECTOR_VERSION}"
        )
        yield Symptom("weak", "version", message, _NEWER)
        return
    if found.schema != SCHEMA_VERSION:
        message = f"the tables are of version {found.schema}, not of {SCHEMA_VERSION}"
        yield Symptom("weak", "version", message, shell(f"{command} db upgrade"))
    if found.projector != str(PROJECTOR_VERSION):
        message = (
            f"the read model was made by projector {found.projector or 'unknown'}, not by "
            f"{PROJECTOR_VERSION}"
        )
        yield Symptom("weak", "version", message, shell(f"{command} rebuild"))
