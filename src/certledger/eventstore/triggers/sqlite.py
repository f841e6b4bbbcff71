"""The triggers that keep the log append-only, for SQLite."""

from __future__ import annotations

from typing import Final

TRIGGERS: Final = {
    "log_entry_no_update": """
        CREATE TRIGGER log_entry_no_update BEFORE UPDATE ON log_entry
        BEGIN SELECT RAISE(ABORT, 'log_entry is append-only: no UPDATE'); END""",
    "log_entry_no_delete": """
        CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON log_entry
        BEGIN SELECT RAISE(ABORT, 'log_entry is append-only: no DELETE'); END""",
    # INSERT OR REPLACE fires no DELETE trigger, so a key that exists must be caught here.
    "log_entry_in_order": """
        CREATE TRIGGER log_entry_in_order BEFORE INSERT ON log_entry
        BEGIN
          SELECT RAISE(ABORT, 'log_entry: seq is not the next position')
          WHERE NEW.seq IS NOT (SELECT coalesce(max(seq) + 1, 0) FROM log_entry);
          SELECT RAISE(ABORT, 'log_entry: streamversion is not the next of its subject')
          WHERE NEW.streamversion IS NOT (
            SELECT coalesce(max(streamversion) + 1, 0) FROM log_entry
            WHERE subject = NEW.subject);
          SELECT RAISE(ABORT, 'log_entry: event_id exists')
          WHERE EXISTS (SELECT 1 FROM log_entry WHERE event_id = NEW.event_id);
        END""",
    "log_head_no_delete": """
        CREATE TRIGGER log_head_no_delete BEFORE DELETE ON log_head
        BEGIN SELECT RAISE(ABORT, 'log_head: no DELETE'); END""",
    "log_head_one_row": """
        CREATE TRIGGER log_head_one_row BEFORE INSERT ON log_head
        WHEN EXISTS (SELECT 1 FROM log_head)
        BEGIN SELECT RAISE(ABORT, 'log_head has its one row'); END""",
    # A size must also be the log's: any text is greater than any number.
    "log_head_grows": """
        CREATE TRIGGER log_head_grows BEFORE UPDATE ON log_head
        WHEN NEW.id IS NOT OLD.id OR NEW.format IS NOT OLD.format
          OR NEW.created IS NOT OLD.created
          OR (NEW.origin IS NOT OLD.origin AND (
            OLD.size IS NOT 0 OR NEW.size IS NOT 0 OR NEW.root IS NOT OLD.root
            OR NEW.frontier IS NOT OLD.frontier OR NEW.recorded_at IS NOT OLD.recorded_at))
          OR (NEW.origin IS OLD.origin AND (
            (NEW.size > OLD.size) IS NOT 1
            OR NEW.size IS NOT (SELECT coalesce(max(seq) + 1, 0) FROM log_entry)))
        BEGIN SELECT RAISE(ABORT, 'log_head only grows'); END""",
    "log_checkpoint_no_update": """
        CREATE TRIGGER log_checkpoint_no_update BEFORE UPDATE ON log_checkpoint
        BEGIN SELECT RAISE(ABORT, 'log_checkpoint is append-only: no UPDATE'); END""",
    "log_checkpoint_no_delete": """
        CREATE TRIGGER log_checkpoint_no_delete BEFORE DELETE ON log_checkpoint
        BEGIN SELECT RAISE(ABORT, 'log_checkpoint is append-only: no DELETE'); END""",
    "log_checkpoint_in_order": """
        CREATE TRIGGER log_checkpoint_in_order BEFORE INSERT ON log_checkpoint
        BEGIN
          SELECT RAISE(ABORT, 'log_checkpoint: number is not the next')
          WHERE NEW.number IS NOT (SELECT coalesce(max(number) + 1, 0) FROM log_checkpoint);
          SELECT RAISE(ABORT, 'log_checkpoint: the log never had this size')
          WHERE typeof(NEW.size) <> 'integer'
            OR NEW.size NOT BETWEEN 0 AND (SELECT size FROM log_head);
        END""",
}
"""Name to DDL."""
