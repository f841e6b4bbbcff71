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
    retired.name: ("SELECT", "INSERT", "DELETE"),
    projection.name: ("SELECT", "UPDATE"),
}
"""Table to privileges of a role that records, checks and rebuilds."""

OTHERS: Final = tuple(name for name in NEEDED if name not in LOG_TABLES)
"""The tables that are not the log's."""

_UPDATED: Final = {
    log_head.name: "UPDATE (size, root, frontier, recorded_at)",
    projection.name: "UPDATE (version)",
}
"""Table to what of it is updated, where that is not all."""

_DANGEROUS: Final = frozenset(
    {"UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "DROP", "ALTER", "ALL PRIVILEGES"}
)
WIDE: Final = {name: _DANGEROUS - set(NEEDED[name]) for name in LOG_TABLES}
"""Table of the log to privileges by which what it holds, or what guards it, can be changed."""

WIDE_ON_ALL: Final = frozenset.union(*WIDE.values())
"""Those that are too much where they hold for all tables together."""


def by_privileges() -> dict[tuple[str, ...], list[str]]:
    """Return the needed privileges, limited to columns, with the tables that they are needed on."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for table, privileges in NEEDED.items():
        limited = {"UPDATE": _UPDATED.get(table, "UPDATE")}
        exact = tuple(limited.get(privilege, privilege) for privilege in privileges)
        grouped.setdefault(exact, []).append(table)
    return grouped
