"""Whether what guards the log is there: its triggers, and the settings that make it durable."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from certledger.eventstore import guarding
from certledger.eventstore.backends import backend_of
from certledger.eventstore.database import Database
from certledger.eventstore.tables import LOG_TABLES
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.stored import shown


def check_triggers(connection: Connection) -> Iterator[Finding]:
    """See that the triggers which keep the log append-only are there, word for word, and that
    nothing else makes statements read or write other rows than they say.
    """
    triggers = guarding.check_triggers(connection)
    for name in triggers.missing:
        message = f"the trigger {name} is missing: the log is open to changes"
        yield Finding("finding", "trigger-missing", None, message)
    for name, words in triggers.changed.items():
        message = f"the trigger {name} is not the registry's: {shown(words)}"
        yield Finding("finding", "trigger-missing", None, message)
    for name in triggers.unknown:
        message = f"the trigger {shown(name)} on the log is not the registry's"
        yield Finding("note", "trigger-unknown", None, message)
    if triggers.hidden:
        message = (
            f"the triggers {', '.join(triggers.hidden)} are there, but their words are not shown "
            "to this user, nor whether there are more"
        )
        yield Finding("note", "trigger-hidden", None, message)
    for interference in backend_of(connection).interferences(connection, LOG_TABLES):
        yield Finding("finding", "interference", None, str(interference))


def check_durability(database: Database, connection: Connection) -> Iterator[Finding]:
    """See that what is appended survives a crash, as the registry promises.

    A database in memory promises nothing. A file is set right whenever it is opened for writing,
    so this tells of one that somebody changed and that has been read only since.
    """
    if database.in_memory:
        return
    for weakness in database.backend.weaknesses(connection):
        yield Finding("finding", "durability", None, str(weakness))
