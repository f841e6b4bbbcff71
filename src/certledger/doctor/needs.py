"""What the role of an application must be allowed on a server, and what is too much."""

from __future__ import annotations

from typing import Final

from certledger.eventstore.tables import (
    LOG_TABLES,
    alembic_version,
    log_checkpoint,
    log_copy,
    log_entry,
    log_head,
)
from certledger.projections.models import CERTIFICATES, projection, retired

NEEDED: Final[dict[str, tuple[str, ...]]] = {
    log_entry.name: ("SELECT", "INSERT"),
    log_head.name: ("SELECT", "UPDATE"),
    log_checkpoint.name: ("SELECT", "INSERT"),
    log_copy.name: ("SELECT",),
    alembic_version.name: ("SELECT",),
    CERTIFICATES.name: ("SELECT", "INSERT", "UPDATE", "DELETE"),
    retired.name: ("SELECT", "INSERT", "UPDATE", "DELETE"),
    projection.name: ("SELECT", "INSERT", "UPDATE"),
}
"""Table to privileges of a role that records, checks and rebuilds."""

_DANGEROUS: Final = frozenset(
    {"UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "DROP", "ALTER", "ALL PRIVILEGES"}
)
WIDE: Final = {name: _DANGEROUS - set(NEEDED[name]) for name in LOG_TABLES}
"""Table of the log to privileges by which what it holds, or what guards it, can be changed."""

WIDE_ON_ALL: Final = frozenset.union(*WIDE.values())
"""Those that are too much where they hold for all tables together."""


def by_privileges() -> dict[tuple[str, ...], list[str]]:
    """Return the needed privileges, each with the tables that they are needed on."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for table, privileges in NEEDED.items():
        grouped.setdefault(privileges, []).append(table)
    return grouped
