"""Whether what guards the log is there: its triggers, and the settings that make it durable."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from certledger.eventstore.backends import backend_of
from certledger.eventstore.database import Database
from certledger.eventstore.tables import LOG_TABLES
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.stored import shown


def check_triggers(connection: Connection) -> Iterator[Finding]:
    """See that the triggers which keep the log append-only are there, word for word."""
    backend = backend_of(connection)
    stored = backend.stored_triggers(connection, LOG_TABLES)
    wanted = backend.triggers
    for name, text in wanted.items():
        if name not in stored:
            message = f"the trigger {name} is missing: the log is open to changes"
            yield Finding("finding", "trigger-missing", None, message)
        elif stored[name].split() != text.split():
            message = f"the trigger {name} is not the registry's: {shown(stored[name])}"
            yield Finding("finding", "trigger-missing", None, message)
    for name in sorted(set(stored) - set(wanted)):
        message = f"the trigger {shown(name)} on the log is not the registry's"
        yield Finding("note", "trigger-unknown", None, message)


def check_durability(database: Database, connection: Connection) -> Iterator[Finding]:
    """See that what is appended survives a crash, as the registry promises.

    A database in memory promises nothing. A file is set right whenever it is opened for writing,
    so this tells of one that somebody changed and that has been read only since.
    """
    if database.in_memory:
        return
    for weakness in database.backend.weaknesses(connection):
        yield Finding("finding", "durability", None, weakness)
