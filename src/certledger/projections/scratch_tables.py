"""Temporary tables that hold the read model as the log alone demands it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, MetaData, Table

from certledger.eventstore.columns import TABLE_OPTIONS
from certledger.projections.models import CERTIFICATES, retired


def _temporary(table: Table) -> Table:
    """Define a temporary table with the columns and the primary key of another.

    It has no further index: they would halve the speed of filling it.
    """
    columns = [
        Column(column.name, column.type, primary_key=column.primary_key, autoincrement=False)
        for column in table.columns
    ]
    return Table(
        f"scratch_{table.name}", MetaData(), *columns, prefixes=["TEMPORARY"], **TABLE_OPTIONS
    )


def _copied(table: Table) -> Table:
    """Define a temporary table with the columns of another, and its name."""
    columns = [Column(column.name, column.type) for column in table.columns]
    return Table(table.name, MetaData(), *columns, prefixes=["TEMPORARY"])


scratch_certificates: Final = _temporary(CERTIFICATES)
scratch_retired: Final = _temporary(retired)

SCRATCH: Final = (scratch_certificates, scratch_retired)
COPIES: Final = {table.name: _copied(table) for table in (CERTIFICATES, retired)}
"""Tables elsewhere, for those rows of the read model that are just being compared."""
