"""Holding the head of the log against the log, and the triggers against their text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Dialect

from certledger.errors import LedgerError
from certledger.eventstore.event import check_origin
from certledger.eventstore.sqlite_checks import stored_triggers
from certledger.eventstore.tables import FORMAT, LOG_TABLES, TRIGGERS, log_head
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.stored import Extent, StoredHead, shown
from certledger.projections.verifying.tree import TreeCheck


def check_size(extent: Extent, dialect: Dialect) -> Iterator[Finding]:
    """See that there is one head, that it can be read, and that it states the log's size."""
    if len(extent.heads) != 1:
        message = f"log_head has {len(extent.heads) or 'no'} rows instead of one"
        yield Finding("finding", "head-missing", None, message)
        return
    head = extent.heads[0]
    if head.format != FORMAT or isinstance(head.format, bool):
        message = f"the head states the format {shown(head.format)} instead of {FORMAT}"
        yield Finding("finding", "head-format", None, message)
    try:
        check_origin(head.origin)
    except (LedgerError, TypeError):
        message = f"the head states the origin {shown(head.origin)}, which is none"
        yield Finding("finding", "head-origin", None, message)
    if not _is_instant(head.created, dialect):
        message = f"the head says that it was made at {shown(head.created)}, which is no time"
        yield Finding("finding", "head-time", None, message)
    if extent.size != extent.stop:
        message = f"the head states the size {shown(head.size)}, the log ends at {extent.stop}"
        yield Finding("finding", "head-size", None, message)


def _is_instant(value: Any, dialect: Dialect) -> bool:
    """Tell whether a value in a column of times is one, as the database stores it."""
    reader = log_head.c.created.type.dialect_impl(dialect).result_processor(dialect, None)
    try:
        return isinstance(reader(value) if reader else value, datetime)
    except (ValueError, TypeError):
        return False


def check_head(head: StoredHead, tree: TreeCheck, recorded_at: Any) -> Iterator[Finding]:
    """Hold root, frontier and time against what follows from the entries.

    `recorded_at` is what the last entry demands, as the database stores it; None: no entry.
    """
    computed = tree.head()
    if computed is not None:
        for kind, stored, wanted in (
            ("root", head.root, computed[0]),
            ("frontier", head.frontier, computed[1]),
        ):
            if stored != wanted:
                found = stored.hex() if isinstance(stored, bytes) else shown(stored)
                message = f"the head states the {kind} {found}, the entries give {wanted.hex()}"
                yield Finding("finding", f"head-{kind}", None, message)
    if head.recorded_at != recorded_at:
        message = (
            f"the head says that the last entry was recorded at {shown(head.recorded_at)}, "
            f"its bytes say {shown(recorded_at)}"
        )
        yield Finding("finding", "head-time", None, message)


def check_triggers(connection: Connection) -> Iterator[Finding]:
    """See that the triggers which keep the log append-only are there, word for word."""
    if connection.dialect.name != "sqlite":
        return
    stored = stored_triggers(connection, LOG_TABLES)
    wanted = TRIGGERS["sqlite"]
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
