"""Comparing a table of the read model with its scratch table, range by range, in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Insert,
    Select,
    Table,
    bindparam,
    exists,
    insert,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from certledger.projections.models import CERTIFICATES, retired
from certledger.projections.scratch_tables import scratch_certificates, scratch_retired

LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1
"""No key lies outside of these, so that stray rows are found wherever they were put."""

ROWS_AT_ONCE: Final = 2_000
KEYS_AT_ONCE: Final = 5_000
"""How many differences are taken at a time, of rows that are read whole and of those of which the
key is enough: what is in memory at once.
"""


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
        key = next(iter(table.primary_key)).name
        self._at = self._names.index(key)
        # The scratch table stands on the left: the left column's collation decides, and nobody
        # but us has defined that one.
        self._ours, self._theirs = scratch.c[key], table.c[key]
        self._same = self._ours == self._theirs
        self._missing = self._select_missing()
        self._unexpected = self._select_unexpected()
        self._changed = self._select_changed()
        self._insert = self._insert_missing()

    def differences(
        self, connection: Connection, low: int, high: int
    ) -> tuple[list[Difference], int]:
        """Compare the rows with keys from `low` to `high`, both included.

        Returns the first differences in the order of their keys, and the key up to which they are
        all: `high`, or less where there are too many to be taken at once.
        """
        bounds = {"low": low, "high": high}
        found: list[Difference] = []
        reached = high
        for query, limit, read in (
            (self._missing, KEYS_AT_ONCE, self._read_missing),
            (self._unexpected, KEYS_AT_ONCE, self._read_unexpected),
            (self._changed, ROWS_AT_ONCE, self._read_changed),
        ):
            some = [read(tuple(row)) for row in connection.execute(query, bounds)]
            found += some
            if len(some) == limit:
                reached = min(reached, some[-1].key)
        found.sort(key=lambda difference: difference.key)
        return [difference for difference in found if difference.key <= reached], reached

    def insert_missing(self, connection: Connection, low: int, high: int) -> None:
        """Insert the missing rows of a range, but for those whose unique values others hold."""
        connection.execute(self._insert, {"low": low, "high": high})

    def _select_missing(self) -> Select[Any]:
        return (
            select(self._ours, self.scratch.c.serial_number)
            .select_from(self.scratch.outerjoin(self.table, self._same))
            .where(_in_range(self._ours), self._theirs.is_(None))
            .order_by(self._ours)
            .limit(KEYS_AT_ONCE)
        )

    def _select_unexpected(self) -> Select[Any]:
        return (
            select(self._theirs, _as_stored(self.table.c.serial_number))
            .select_from(self.table.outerjoin(self.scratch, self._same))
            .where(_in_range(self._theirs), self._ours.is_(None))
            .order_by(self._theirs)
            .limit(KEYS_AT_ONCE)
        )

    def _select_changed(self) -> Select[Any]:
        both = [(self.scratch.c[name], self.table.c[name]) for name in self._names]
        return (
            select(
                *[_as_stored(ours) for ours, _ in both], *[_as_stored(theirs) for _, theirs in both]
            )
            .select_from(self.scratch.join(self.table, self._same))
            .where(
                _in_range(self._ours),
                or_(*[ours.is_distinct_from(theirs) for ours, theirs in both]),
            )
            .order_by(self._ours)
            .limit(ROWS_AT_ONCE)
        )

    def _insert_missing(self) -> Insert:
        unique = [column.name for column in self.table.columns if column.unique]
        free = [
            ~exists().where(self.table.c[name] == self.scratch.c[name])
            for name in (self._ours.name, *unique)
        ]
        rows = select(*self.scratch.columns).where(_in_range(self._ours), *free)
        return insert(self.table).from_select(self._names, rows.order_by(self._ours))

    def _read_missing(self, row: tuple[Any, ...]) -> Difference:
        return Difference(self.table.name, row[0], row[1], "missing", {})

    def _read_unexpected(self, row: tuple[Any, ...]) -> Difference:
        return Difference(self.table.name, row[0], str(row[1]), "unexpected", {})

    def _read_changed(self, row: tuple[Any, ...]) -> Difference:
        count = len(self._names)
        wanted = dict(zip(self._names, row[:count], strict=True))
        found = dict(zip(self._names, row[count:], strict=True))
        columns = {
            name: (found[name], wanted[name])
            for name in self._names
            if found[name] != wanted[name] or type(found[name]) is not type(wanted[name])
        }
        key, serial = row[self._at], wanted["serial_number"]
        return Difference(self.table.name, key, serial, "changed", columns)


def _in_range(key: ColumnElement[Any]) -> ColumnElement[bool]:
    return key.between(bindparam("low"), bindparam("high"))


def _as_stored(column: Column[Any]) -> ColumnElement[Any]:
    """Select a value as the driver gives it: SQLAlchemy could not read what others may have
    stored, such as a word in a column of dates.
    """
    return type_coerce(column, NullType()).label(f"{column.table.name}_{column.name}")


CERTIFICATE_ROWS: Final = Pair(CERTIFICATES, scratch_certificates)
RETIRED_ROWS: Final = Pair(retired, scratch_retired)
PAIRS: Final = (CERTIFICATE_ROWS, RETIRED_ROWS)
