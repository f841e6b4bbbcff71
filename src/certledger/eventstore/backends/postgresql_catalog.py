"""What PostgreSQL's catalog tells of the log's tables, and of how durable they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text

from certledger.errors import NotARegistry
from certledger.eventstore.durability.postgresql import (
    SETTINGS,
    Identity,
    Setting,
    symptoms_of_settings,
    symptoms_of_tables,
)
from certledger.eventstore.symptom import Symptom, sql
from certledger.eventstore.tables import LOG_TABLES
from certledger.eventstore.triggers.postgresql import CURRENT_PATH, ddl, function

_TRIGGERS: Final = text(
    """
    SELECT t.tgname, c.relname, pg_get_triggerdef(t.oid, true), t.tgenabled,
           p.proname, l.lanname, p.prosecdef, p.proconfig, p.prosrc,
           current_setting('search_path') AS path
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid
    JOIN pg_language l ON l.oid = p.prolang
    WHERE NOT t.tgisinternal AND n.nspname = current_schema() AND c.relname IN :tables
    """
).bindparams(bindparam("tables", expanding=True))
# Message, and the statement that mends.
_INTERFERENCES: Final = text(
    """
    WITH log AS (
      SELECT c.oid, c.relname, c.relrowsecurity
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = current_schema() AND c.relname IN :tables
    )
    SELECT format('the rule %I on %I changes what statements do', r.rulename, log.relname),
           format('DROP RULE %I ON %I', r.rulename, log.relname)
    FROM log JOIN pg_rewrite r ON r.ev_class = log.oid
    UNION ALL
    SELECT format('row-level security on %I can hide rows', log.relname),
           format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', log.relname)
    FROM log WHERE log.relrowsecurity
    UNION ALL
    SELECT format('the policy %I on %I can hide rows', p.polname, log.relname),
           format('DROP POLICY %I ON %I', p.polname, log.relname)
    FROM log JOIN pg_policy p ON p.polrelid = log.oid
    UNION ALL
    SELECT format('rows of the table %s are taken for rows of %I', i.inhrelid::regclass, relname),
           format('ALTER TABLE %s NO INHERIT %I', i.inhrelid::regclass, log.relname)
    FROM log JOIN pg_inherits i ON i.inhparent = log.oid
    ORDER BY 1
    """
).bindparams(bindparam("tables", expanding=True))
_SETTINGS: Final = text(
    "SELECT name, setting, source, reset_val FROM pg_settings WHERE name IN :names"
).bindparams(bindparam("names", expanding=True))
# The defaults of sessions are those of the role that logged in, whichever it is set to later.
_WHO: Final = text("SELECT quote_ident(session_user), quote_ident(current_database())")
_UNLOGGED: Final = text(
    """
    SELECT quote_ident(c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname IN :tables AND c.relpersistence = 'u'
    ORDER BY 1
    """
).bindparams(bindparam("tables", expanding=True))
_TEMPORARY: Final = text(
    "SELECT NOT pg_is_in_recovery() AND has_database_privilege(current_database(), 'TEMPORARY')"
)
_ENABLED: Final = {"O": "", "A": "ALWAYS", "R": "REPLICA", "D": "NEVER"}


def stored_triggers(connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
    """Return the triggers on some tables with their functions, by name, in the registry's words."""
    found = connection.execute(_TRIGGERS, {"tables": list(tables)})
    return {row.tgname: _words(*row) for row in found}


def _words(
    name: str,
    table: str,
    trigger: str,
    enabled: str,
    function_name: str,
    language: str,
    definer: bool,
    settings: list[str] | None,
    body: str,
    path: str,
) -> str:
    # A pinned path is that of the session which made the function, if it is this schema's.
    pinned = settings == [f"search_path={path}"]
    further = CURRENT_PATH if pinned else " ".join(f"SET {setting}" for setting in settings or ())
    further = f"{further} SECURITY DEFINER" if definer else further
    made = function(function_name, language, further, body)
    return ddl(made, trigger, table, name, _ENABLED[enabled])


def interferences(connection: Connection, tables: tuple[str, ...]) -> list[Symptom]:
    """Say what beside triggers changes which rows statements on some tables read or write."""
    found = connection.execute(_INTERFERENCES, {"tables": list(tables)})
    return [Symptom("weak", "interference", words, sql(mend)) for words, mend in found]


def weaknesses(connection: Connection) -> list[Symptom]:
    """Say what weakens durability: settings of the session, and how the log is stored."""
    return [
        *symptoms_of_settings(settings(connection, SETTINGS), identity(connection)),
        *unlogged(connection, LOG_TABLES),
    ]


def settings(connection: Connection, names: tuple[str, ...]) -> dict[str, Setting]:
    """Return settings by name, those that the server has."""
    rows = connection.execute(_SETTINGS, {"names": list(names)})
    return {name: Setting(*setting) for name, *setting in rows}


def identity(connection: Connection) -> Identity:
    """Return as whom the connection was made, and to which database."""
    return Identity(*connection.execute(_WHO).one())


def unlogged(connection: Connection, tables: tuple[str, ...]) -> Iterator[Symptom]:
    """Say which tables a crash empties."""
    return symptoms_of_tables(connection.scalars(_UNLOGGED, {"tables": list(tables)}))


def has_temporary_tables(connection: Connection) -> bool:
    """Tell whether the role may make temporary tables; on a standby nobody can."""
    return bool(connection.scalar(_TEMPORARY))


def check_encoding(connection: Connection) -> None:
    """Refuse a database that cannot hold every name. Raises `NotARegistry`."""
    found: Any = connection.scalar(text("SELECT current_setting('server_encoding')"))
    if found != "UTF8":
        message = (
            f"the encoding of the database is {found}, which does not have every character that "
            "names are written in; create one with ENCODING 'UTF8' TEMPLATE template0"
        )
        raise NotARegistry(message)
