"""The tables of the log, and the triggers that keep them append-only."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql

FORMAT: Final = 1
"""The format of entries and hashes. It never changes for a log that exists."""

SCHEMA_VERSIONS: Final = ("0001", "0002")
"""The versions of the tables, oldest first; `migrations/` has the steps between them."""

SCHEMA_VERSION: Final = SCHEMA_VERSIONS[-1]
"""The version of the tables that this library makes and uses, kept in `alembic_version`."""

metadata = MetaData()

# INTEGER on SQLite: a BIGINT primary key there is no rowid and takes NULL.
Position = BigInteger().with_variant(Integer, "sqlite")
NaiveUtc = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

log_entry = Table(
    "log_entry",
    metadata,
    Column("seq", Position, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary(2048), nullable=False),
    Column("event_id", String(36), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("streamversion", Integer, nullable=False),
    Column("type", String(100), nullable=False),
    Column("actor", String(255), nullable=False),
    # Of an issued event: that a uuid is taken is decided on the log, not on an editable table.
    Column("uuid", String(255)),
    Column("recorded_at", NaiveUtc, nullable=False),
    # NULL is kept for a redaction to come; until then it is damage.
    Column("entry", LargeBinary(65_535)),
    UniqueConstraint("event_id", name="uq_log_entry_event_id"),
    UniqueConstraint("subject", "streamversion", name="uq_log_entry_subject"),
)
Index("ix_log_entry_type", log_entry.c.type, log_entry.c.seq)
Index("ix_log_entry_actor", log_entry.c.actor, log_entry.c.seq)
Index(
    "ix_log_entry_uuid",
    log_entry.c.uuid,
    sqlite_where=log_entry.c.uuid.is_not(None),
    postgresql_where=log_entry.c.uuid.is_not(None),
)
# SQLite's incremental blob I/O writes into a column past all triggers, but never into one that an
# index names. These indexes hold no rows and cost nothing.
Index(
    "ix_log_entry_sealed",
    log_entry.c.hashes,
    log_entry.c.recorded_at,
    log_entry.c.entry,
    sqlite_where=log_entry.c.seq < 0,
).ddl_if(dialect="sqlite")

log_head = Table(
    "log_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("origin", String(200), nullable=False),
    Column("format", SmallInteger, nullable=False),
    Column("size", Position, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("frontier", LargeBinary(2048), nullable=False),
    Column("recorded_at", NaiveUtc),
    Column("created", NaiveUtc, nullable=False),
    CheckConstraint("id = 1", name="ck_log_head_one_row"),
)
Index(
    "ix_log_head_sealed",
    log_head.c.origin,
    log_head.c.root,
    log_head.c.frontier,
    log_head.c.recorded_at,
    log_head.c.created,
    sqlite_where=log_head.c.id < 0,
).ddl_if(dialect="sqlite")

log_checkpoint = Table(
    "log_checkpoint",
    metadata,
    Column("number", Position, primary_key=True, autoincrement=False),
    Column("size", Position, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    # The signer's verifier key line.
    Column("key", String(400), nullable=False),
    Column("stored_at", NaiveUtc, nullable=False),
    # The signed note, byte for byte.
    Column("note", LargeBinary(65_535), nullable=False),
)
Index("ix_log_checkpoint_size", log_checkpoint.c.size)
Index(
    "ix_log_checkpoint_sealed",
    log_checkpoint.c.root,
    log_checkpoint.c.key,
    log_checkpoint.c.stored_at,
    log_checkpoint.c.note,
    sqlite_where=log_checkpoint.c.number < 0,
).ddl_if(dialect="sqlite")

# Of a registry that `certledger copy` fills: not to be used before it is whole.
log_copy = Table(
    "log_copy",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("origin", String(200), nullable=False),
    Column("size", Position, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("started_at", NaiveUtc, nullable=False),
    Column("finished_at", NaiveUtc),
    CheckConstraint("id = 1", name="ck_log_copy_one_row"),
)

LOG_TABLES: Final = tuple(table.name for table in (log_entry, log_head, log_checkpoint))
"""The tables that only grow."""

alembic_version = Table(
    "alembic_version", metadata, Column("version_num", String(32), primary_key=True)
)

TRIGGERS: Final[dict[str, dict[str, str]]] = {
    "sqlite": {
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
}
"""Trigger name to DDL, by dialect. The names are also what `verify` looks for."""
