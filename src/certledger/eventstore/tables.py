"""The tables of the log, and the triggers that keep them append-only."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

from certledger.eventstore.columns import TABLE_OPTIONS, ExactText, NaiveUtc, Position

FORMAT: Final = 1
"""The format of entries and hashes. It never changes for a log that exists."""

SCHEMA_VERSIONS: Final = ("0001", "0002")
"""The versions of the tables, oldest first; `migrations/` has the steps between them."""

SCHEMA_VERSION: Final = SCHEMA_VERSIONS[-1]
"""The version of the tables that this library makes and uses, kept in `alembic_version`."""

metadata = MetaData()

log_entry = Table(
    "log_entry",
    metadata,
    Column("seq", Position, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary(2048), nullable=False),
    Column("event_id", ExactText(36), nullable=False),
    Column("subject", ExactText(255), nullable=False),
    Column("streamversion", Integer, nullable=False),
    Column("type", ExactText(100), nullable=False),
    Column("actor", ExactText(255), nullable=False),
    # Of an issued event: that a uuid is taken is decided on the log, not on an editable table.
    Column("uuid", ExactText(255)),
    Column("recorded_at", NaiveUtc, nullable=False),
    # NULL is kept for a redaction to come; until then it is damage.
    Column("entry", LargeBinary(65_535)),
    UniqueConstraint("event_id", name="uq_log_entry_event_id"),
    UniqueConstraint("subject", "streamversion", name="uq_log_entry_subject"),
    **TABLE_OPTIONS,
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
    Column("origin", ExactText(200), nullable=False),
    Column("format", SmallInteger, nullable=False),
    Column("size", Position, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("frontier", LargeBinary(2048), nullable=False),
    Column("recorded_at", NaiveUtc),
    Column("created", NaiveUtc, nullable=False),
    CheckConstraint("id = 1", name="ck_log_head_one_row"),
    **TABLE_OPTIONS,
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
    Column("key", ExactText(400), nullable=False),
    Column("stored_at", NaiveUtc, nullable=False),
    # The signed note, byte for byte.
    Column("note", LargeBinary(65_535), nullable=False),
    **TABLE_OPTIONS,
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
    Column("origin", ExactText(200), nullable=False),
    Column("size", Position, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("started_at", NaiveUtc, nullable=False),
    Column("finished_at", NaiveUtc),
    CheckConstraint("id = 1", name="ck_log_copy_one_row"),
    **TABLE_OPTIONS,
)

LOG_TABLES: Final = tuple(table.name for table in (log_entry, log_head, log_checkpoint))
"""The tables that only grow."""

alembic_version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), primary_key=True),
    **TABLE_OPTIONS,
)
