"""The triggers that keep the log append-only, for PostgreSQL.

They fire in sessions of replication too, and their functions look for tables where the session that
made them did: the registry's sessions have its schema alone in their `search_path`, and temporary
tables behind it. A caller's own `search_path` could otherwise put other tables, functions or
operators in place of those that a function names.
"""

from __future__ import annotations

from typing import Final


def trigger(name: str, timing: str, table: str, level: str, body: str) -> str:
    """Return the DDL of a trigger and of its function, which has the same name."""
    fires = f"CREATE TRIGGER {name} {timing} ON {table} FOR EACH {level} EXECUTE FUNCTION {name}()"
    return ddl(function(name, "plpgsql", CURRENT_PATH, body), fires, table, name, "ALWAYS")


CURRENT_PATH: Final = "SET search_path FROM CURRENT"


def function(name: str, language: str, settings: str, body: str) -> str:
    """Return the DDL of a trigger's function."""
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE {language} {settings} AS $${body}$$"


def ddl(function: str, trigger: str, table: str, name: str, when: str) -> str:
    """Return the DDL of a trigger with its function; `when` is in which sessions it fires."""
    return f"{function};\n{trigger};\nALTER TABLE {table} ENABLE {when} TRIGGER {name}"


def _refuse(message: str) -> str:
    return f"RAISE EXCEPTION '{message}' USING ERRCODE = 'restrict_violation';"


def _forbid(table: str, verb: str, what: str) -> tuple[str, str]:
    name = f"{table}_no_{verb.lower()}"
    body = f"BEGIN {_refuse(f'{table}{what}: no {verb}')} END"
    return name, trigger(name, f"BEFORE {verb}", table, "STATEMENT", body)


# Text is cast, as for VARCHAR the schema's own operators would come before those of the database.
_IN_ORDER: Final = f"""
BEGIN
  IF NEW.seq IS DISTINCT FROM (SELECT coalesce(max(seq) + 1, 0) FROM log_entry) THEN
    {_refuse("log_entry: seq is not the next position")}
  END IF;
  IF NEW.streamversion IS DISTINCT FROM (
    SELECT coalesce(max(streamversion) + 1, 0) FROM log_entry
    WHERE subject::text = NEW.subject::text) THEN
    {_refuse("log_entry: streamversion is not the next of its subject")}
  END IF;
  RETURN NEW;
END"""

_ONE_ROW: Final = f"""
BEGIN
  IF EXISTS (SELECT 1 FROM log_head) THEN
    {_refuse("log_head has its one row")}
  END IF;
  RETURN NEW;
END"""

_GROWS: Final = f"""
BEGIN
  IF NEW.id IS DISTINCT FROM OLD.id OR NEW.format IS DISTINCT FROM OLD.format
    OR NEW.created IS DISTINCT FROM OLD.created
    OR (NEW.origin::text IS DISTINCT FROM OLD.origin::text AND (
      OLD.size <> 0 OR NEW.size IS DISTINCT FROM 0 OR NEW.root IS DISTINCT FROM OLD.root
      OR NEW.frontier IS DISTINCT FROM OLD.frontier
      OR NEW.recorded_at IS DISTINCT FROM OLD.recorded_at))
    OR (NEW.origin::text IS NOT DISTINCT FROM OLD.origin::text AND (
      (NEW.size > OLD.size) IS NOT TRUE
      OR NEW.size IS DISTINCT FROM (SELECT coalesce(max(seq) + 1, 0) FROM log_entry))) THEN
    {_refuse("log_head only grows")}
  END IF;
  RETURN NEW;
END"""

_CHECKPOINTS: Final = f"""
BEGIN
  IF NEW.number IS DISTINCT FROM (SELECT coalesce(max(number) + 1, 0) FROM log_checkpoint) THEN
    {_refuse("log_checkpoint: number is not the next")}
  END IF;
  IF (NEW.size BETWEEN 0 AND (SELECT size FROM log_head)) IS NOT TRUE THEN
    {_refuse("log_checkpoint: the log never had this size")}
  END IF;
  RETURN NEW;
END"""


def _row(name: str, timing: str, table: str, body: str) -> tuple[str, str]:
    return name, trigger(name, timing, table, "ROW", body)


TRIGGERS: Final = dict(
    [
        _forbid("log_entry", "UPDATE", " is append-only"),
        _forbid("log_entry", "DELETE", " is append-only"),
        _forbid("log_entry", "TRUNCATE", " is append-only"),
        _row("log_entry_in_order", "BEFORE INSERT", "log_entry", _IN_ORDER),
        _forbid("log_head", "DELETE", ""),
        _forbid("log_head", "TRUNCATE", ""),
        _row("log_head_one_row", "BEFORE INSERT", "log_head", _ONE_ROW),
        _row("log_head_grows", "BEFORE UPDATE", "log_head", _GROWS),
        _forbid("log_checkpoint", "UPDATE", " is append-only"),
        _forbid("log_checkpoint", "DELETE", " is append-only"),
        _forbid("log_checkpoint", "TRUNCATE", " is append-only"),
        _row("log_checkpoint_in_order", "BEFORE INSERT", "log_checkpoint", _CHECKPOINTS),
    ]
)
"""Name to DDL."""
