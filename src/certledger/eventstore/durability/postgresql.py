"""What PostgreSQL's settings mean for what was acknowledged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from certledger.eventstore.symptom import Mend, Symptom, shell, sql

SETTINGS: Final = ("fsync", "full_page_writes", "synchronous_commit")

_OF_THE_SERVER: Final = {
    "fsync": "a crash of the machine can lose acknowledged changes, or all of the database",
    "full_page_writes": "a crash of the machine can leave pages half written and beyond repair",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of `pg_settings`."""

    value: str
    """As the session has it."""
    source: str
    """Where the value comes from."""
    default: str
    """What the session has after RESET: the value of server, database and role."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is connected to what; the names are quoted for SQL."""

    role: str
    database: str


def symptoms_of_settings(found: Mapping[str, Setting], who: Identity) -> Iterator[Symptom]:
    """Judge the settings that `SETTINGS` names (PostgreSQL manual, "Reliability and the WAL")."""
    for name, meaning in _OF_THE_SERVER.items():
        if found[name].value == "off":
            yield Symptom("weak", "durability", f"{name} is off: {meaning}", _on(name, found[name]))
    if found["synchronous_commit"].value == "off":
        message = (
            "synchronous_commit is off in this session: a crash of the server loses the last "
            "acknowledged changes"
        )
        yield Symptom("weak", "durability", message, set_for(who, "synchronous_commit", "on"))


def symptoms_of_tables(unlogged: Iterable[str]) -> Iterator[Symptom]:
    """Tell of tables that are not in the write-ahead log; their names are quoted for SQL."""
    for table in unlogged:
        message = f"the table {table} is unlogged: a crash of the server empties it"
        yield Symptom("weak", "durability", message, sql(f"ALTER TABLE {table} SET LOGGED"))


def set_for(who: Identity, name: str, value: str) -> tuple[Mend, ...]:
    """Return what gives a role a setting in a database, whatever server, database and role say."""
    return sql(f"ALTER ROLE {who.role} IN DATABASE {who.database} SET {name} = '{value}'")


def _on(name: str, setting: Setting) -> tuple[Mend, ...]:
    if setting.source == "command line":  # which comes before every file
        return shell(f"pg_ctl restart -o '-c {name}=on'")
    return sql(f"ALTER SYSTEM SET {name} = 'on'", "SELECT pg_reload_conf()")
