"""The triggers that keep the log append-only, for MariaDB and MySQL.

TRUNCATE fires no trigger there: it takes the privilege DROP, which an application must not have.
"""

from __future__ import annotations

from typing import Final


def trigger(name: str, timing: str, table: str, body: str) -> str:
    """Return the DDL of a trigger."""
    return f"CREATE TRIGGER {name} {timing} ON {table} FOR EACH ROW {body}"


def _refuse(message: str) -> str:
    return f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}';"


def _forbid(table: str, verb: str, what: str) -> tuple[str, str]:
    name = f"{table}_no_{verb.lower()}"
    body = f"BEGIN {_refuse(f'{table}{what}: no {verb}')} END"
    return name, trigger(name, f"BEFORE {verb}", table, body)


# In parentheses, as the SQL mode HIGH_NOT_PRECEDENCE would have NOT bind stronger than <=>, and
# null-safe throughout: an UPDATE IGNORE that sets NULL is seen by the trigger as NULL, and stored
# as 0 after it.
_IN_ORDER: Final = f"""BEGIN
  IF NOT (NEW.seq <=> (SELECT coalesce(max(seq) + 1, 0) FROM log_entry)) THEN
    {_refuse("log_entry: seq is not the next position")}
  END IF;
  IF NOT (NEW.streamversion <=> (
    SELECT coalesce(max(streamversion) + 1, 0) FROM log_entry WHERE subject = NEW.subject)) THEN
    {_refuse("log_entry: streamversion is not the next of its subject")}
  END IF;
  IF EXISTS (SELECT 1 FROM log_entry WHERE event_id = NEW.event_id) THEN
    {_refuse("log_entry: event_id exists")}
  END IF;
END"""

_ONE_ROW: Final = f"""BEGIN
  IF EXISTS (SELECT 1 FROM log_head) THEN
    {_refuse("log_head has its one row")}
  END IF;
END"""

_GROWS: Final = f"""BEGIN
  IF NOT (NEW.id <=> OLD.id) OR NOT (NEW.format <=> OLD.format)
    OR NOT (NEW.created <=> OLD.created)
    OR (NOT (NEW.origin <=> OLD.origin) AND (
      OLD.size <> 0 OR NOT (NEW.size <=> 0) OR NOT (NEW.root <=> OLD.root)
      OR NOT (NEW.frontier <=> OLD.frontier) OR NOT (NEW.recorded_at <=> OLD.recorded_at)))
    OR (NEW.origin <=> OLD.origin AND (
      coalesce(NEW.size <= OLD.size, TRUE)
      OR NOT (NEW.size <=> (SELECT coalesce(max(seq) + 1, 0) FROM log_entry)))) THEN
    {_refuse("log_head only grows")}
  END IF;
END"""

_CHECKPOINTS: Final = f"""BEGIN
  IF NOT (NEW.number <=> (SELECT coalesce(max(number) + 1, 0) FROM log_checkpoint)) THEN
    {_refuse("log_checkpoint: number is not the next")}
  END IF;
  IF NOT coalesce(NEW.size BETWEEN 0 AND (SELECT size FROM log_head), FALSE) THEN
    {_refuse("log_checkpoint: the log never had this size")}
  END IF;
END"""


def _row(name: str, timing: str, table: str, body: str) -> tuple[str, str]:
    return name, trigger(name, timing, table, body)


TRIGGERS: Final = dict(
    [
        _forbid("log_entry", "UPDATE", " is append-only"),
        _forbid("log_entry", "DELETE", " is append-only"),
        _row("log_entry_in_order", "BEFORE INSERT", "log_entry", _IN_ORDER),
        _forbid("log_head", "DELETE", ""),
        _row("log_head_one_row", "BEFORE INSERT", "log_head", _ONE_ROW),
        _row("log_head_grows", "BEFORE UPDATE", "log_head", _GROWS),
        _forbid("log_checkpoint", "UPDATE", " is append-only"),
        _forbid("log_checkpoint", "DELETE", " is append-only"),
        _row("log_checkpoint_in_order", "BEFORE INSERT", "log_checkpoint", _CHECKPOINTS),
    ]
)
"""Name to DDL."""
