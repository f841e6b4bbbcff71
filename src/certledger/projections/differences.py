"""Comparing a table of the read model with its scratch table, range by range, in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Select, Table, bindparam, or_, select, type_coerce
from sqlalchemy.types import NullType

from certledger.projections.models import CERTIFICATES, retired
from certledger.projections.scratch_tables import scratch_certificates, scratch_retired

LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1
"""No key lies outside of these, so that stray rows are found wherever they were put."""

AT_ONCE: Final = 500
"""How many differences of each sort are taken at a time: what is in memory at once."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of which table and log disagree."""

    table: str
    """`certificates` or `retired`."""
    key: int
    """The row's id; in `retired` its seq."""
    serial_number: str
    kind: Literal["missing", "unexpected", "changed"]
    """The log has it and the table has not; the table has it and the log has not; both have it."""
    columns: Mapping[str, tuple[object, object]]
    """Of a changed row: column to (value in the table, value by the log), as they are stored."""


class Pair:
    """A table and the scratch table that it should equal."""

    def __init__(self, table: Table, scratch: Table) -> None:
        self.table = table
        self.scratch = scratch
        self._names = [column.name for column in table.columns]
        self._key = next(iter(table.primary_key)).name
        self._differing = self._select_differing()
        self._unexpected = self._select_unexpected()

    def differences(
        self, connection: Connection, low: int, high: int
    ) -> tuple[list[Difference], int]:
        """Compare the rows with keys from `low` to `high`, both included.

        Returns the first differences in the order of their keys, and the key up to which they are
        all: `high`, or less where there are too many to be taken at once.
        """
        bounds = {"low": low, "high": high}
        differing = connection.execute(self._differing, bounds).all()
        unexpected = connection.execute(self._unexpected, bounds).all()
        found = [self._difference(tuple(row)) for row in differing]
        found += [self._stray(tuple(row)) for row in unexpected]
        found.sort(key=lambda difference: difference.key)
        at = self._names.index(self._key)
        full = [rows[-1][at] for rows in (differing, unexpected) if len(rows) == AT_ONCE]
        reached = min(full, default=high)
        return [difference for difference in found if difference.key <= reached], reached

    def _select_differing(self) -> Select[Any]:
        # The scratch table stands on the left: the left column's collation decides, and nobody
        # but us has defined that one.
        ours, theirs = self.scratch.c, self.table.c
        differs = [ours[name].is_distinct_from(theirs[name]) for name in self._names]
        return (
            select(*self._stored(self.scratch), *self._stored(self.table))
            .select_from(self.scratch.outerjoin(self.table, ours[self._key] == theirs[self._key]))
            .where(ours[self._key].between(bindparam("low"), bindparam("high")), or_(*differs))
            .order_by(ours[self._key])
            .limit(AT_ONCE)
        )

    def _select_unexpected(self) -> Select[Any]:
        ours, theirs = self.scratch.c, self.table.c
        return (
            select(*self._stored(self.table))
            .select_from(self.table.outerjoin(self.scratch, ours[self._key] == theirs[self._key]))
            .where(
                theirs[self._key].between(bindparam("low"), bindparam("high")),
                ours[self._key].is_(None),
            )
            .order_by(theirs[self._key])
            .limit(AT_ONCE)
        )

    def _stored(self, table: Table) -> list[Any]:
        """Select the values as the driver gives them: SQLAlchemy could not read what others may
        have stored, such as a word in a column of dates.
        """
        return [
            type_coerce(table.c[name], NullType()).label(f"{table.name}_{name}")
            for name in self._names
        ]

    def _difference(self, row: tuple[Any, ...]) -> Difference:
        count = len(self._names)
        wanted = dict(zip(self._names, row[:count], strict=True))
        found = dict(zip(self._names, row[count:], strict=True))
        key, serial = wanted[self._key], str(wanted["serial_number"])
        if found[self._key] is None:
            return Difference(self.table.name, key, serial, "missing", {})
        columns = {
            name: (found[name], wanted[name])
            for name in self._names
            if found[name] != wanted[name] or type(found[name]) is not type(wanted[name])
        }
        return Difference(self.table.name, key, serial, "changed", columns)

    def _stray(self, row: tuple[Any, ...]) -> Difference:
        found = dict(zip(self._names, row, strict=True))
        serial = str(found["serial_number"])
        return Difference(self.table.name, found[self._key], serial, "unexpected", {})


CERTIFICATE_ROWS: Final = Pair(CERTIFICATES, scratch_certificates)
RETIRED_ROWS: Final = Pair(retired, scratch_retired)
PAIRS: Final = (CERTIFICATE_ROWS, RETIRED_ROWS)
