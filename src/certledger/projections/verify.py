"""Holding the log against its own rules, and the read model against the log."""

from __future__ import annotations

from collections.abc import Iterator

from certledger.eventstore.database import Database
from certledger.projections.compare import drift
from certledger.projections.finding import Finding
from certledger.projections.progress import Progress

__all__ = ["Finding", "verify"]


def verify(database: Database, progress: Progress | None = None) -> Iterator[Finding]:
    """Yield what is wrong."""
    for difference in drift(database, progress):
        yield Finding("finding", "drift", None, str(difference))
