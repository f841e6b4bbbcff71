"""Whether the triggers that keep the log append-only are there, and putting them back."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from certledger.eventstore.backends import backend_of
from certledger.eventstore.backends.backend import HIDDEN
from certledger.eventstore.tables import LOG_TABLES


@dataclass(frozen=True, slots=True)
class Triggers:
    """What the triggers on the log are, held against what they must be."""

    missing: tuple[str, ...]
    changed: dict[str, str]
    """Those of the registry's names with other words: name to the words."""
    unknown: tuple[str, ...]
    """Those that are not the registry's."""
    hidden: tuple[str, ...] = ()
    """Those of the registry's of which the user may know only that they are there."""

    @property
    def wrong(self) -> tuple[str, ...]:
        """The names of those that do not guard the log as they must."""
        return (*self.missing, *self.changed)


def check_triggers(connection: Connection) -> Triggers:
    """Compare the triggers on the log's tables with the registry's, word for word."""
    backend = backend_of(connection)
    stored = backend.stored_triggers(connection, LOG_TABLES)
    return Triggers(
        missing=tuple(name for name in backend.triggers if name not in stored),
        changed={
            name: stored[name]
            for name, text in backend.triggers.items()
            if name in stored and stored[name] != HIDDEN and stored[name].split() != text.split()
        },
        unknown=tuple(sorted(set(stored) - set(backend.triggers))),
        hidden=tuple(name for name in backend.triggers if stored.get(name) == HIDDEN),
    )


def put_back(connection: Connection, name: str) -> None:
    """Make a trigger of the registry's anew, also where there is one with other words."""
    backend = backend_of(connection)
    (table,) = (table for table in LOG_TABLES if name.startswith(f"{table}_"))
    backend.drop_trigger(connection, name, table)
    connection.exec_driver_sql(backend.triggers[name])
