"""Whether the tables of the source have the rows of the copy, while others may write to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, select, type_coerce
from sqlalchemy.types import NullType

from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.lifecycle import stream_of
from certledger.eventstore.reader import PAGE, stream_version
from certledger.eventstore.statement import Row, Statement, writer_of
from certledger.projections.differences import HIGHEST, LOWEST
from certledger.projections.models import CERTIFICATES, retired

Rows = Mapping[int, Row]
"""By key, in its order."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many rows a table of the copy has, and in how many the source's differs."""

    rows: int
    drifted: int


class TableAgreement:
    """Compares one table on both sides, a page at a time, a short transaction for each side."""

    def __init__(self, table: Table, source: Database, target: Database, size: int) -> None:
        """Take the size of the copy's log: what the source recorded later is no difference."""
        self._table = table
        self._source = source
        self._target = target
        self._size = size
        self._names = [column.name for column in table.columns]
        key = next(iter(table.primary_key))
        self._at = self._names.index(key.name)
        self._typed = _page_of(table, as_stored=False)
        self._stored = _page_of(table, as_stored=True)
        dialect = source.engine.dialect
        self._writers = [writer_of(column.type, dialect) for column in table.columns]

    def compare(self, *, with_source: bool = True) -> Agreement:
        """Compare all rows; without the source only count them."""
        rows = drifted = 0
        for ours, theirs in self._pages(with_source=with_source):
            rows += len(ours)
            suspects = _differing(ours, theirs) if with_source and ours != theirs else {}
            if suspects:
                drifted += self._source.read(lambda c, found=suspects: self._drifted(c, found))  # type: ignore[misc] # binds the loop's value
        return Agreement(rows, drifted)

    def _pages(self, *, with_source: bool) -> Iterator[tuple[Rows, Rows]]:
        """Yield the rows of both sides in the same ranges of keys."""
        low = LOWEST
        while low <= HIGHEST:
            ours = self._target.read(lambda c, at=low: self._ours(c, at))  # type: ignore[misc] # binds the loop's value
            theirs: Rows = {}
            if with_source:
                theirs = self._source.read(lambda c, at=low: self._theirs(c, at))  # type: ignore[misc] # binds the loop's value
            high = min(_reach(ours), _reach(theirs))
            yield _until(ours, high), _until(theirs, high)
            low = high + 1

    def _ours(self, connection: Connection, low: int) -> Rows:
        """Read the next rows of the copy as the source would store them."""
        rows = self._typed.rows(connection, low=low, limit=PAGE)
        return self._by_key(tuple(map(_stored, self._writers, row)) for row in rows)

    def _theirs(self, connection: Connection, low: int) -> Rows:
        """Read the next rows of the source as they are stored: anybody may have edited them."""
        with self._source.backend.values_as_stored(connection):
            return self._by_key(self._stored.rows(connection, low=low, limit=PAGE))

    def _by_key(self, rows: Iterator[Row] | list[Row]) -> Rows:
        return {row[self._at]: row for row in rows}

    def _drifted(self, connection: Connection, suspects: Mapping[int, Row | None]) -> int:
        """Count those that nothing explains which the source has recorded since."""
        size = read_head(connection).size
        return sum(not self._is_newer(connection, key, row, size) for key, row in suspects.items())

    def _is_newer(self, connection: Connection, key: int, row: Row | None, size: int) -> bool:
        if size == self._size:
            return False
        if row is None:
            return self._size <= self._position(key) < size
        if self._table is retired:
            return False
        subject = stream_of(int(row[self._names.index("serial_number")]))
        here = self._target.read(lambda c: stream_version(c, subject))
        return stream_version(connection, subject) > here

    def _position(self, key: int) -> int:
        """Return the position of the entry that made a row."""
        return key - 1 if self._table is CERTIFICATES else key


def _differing(ours: Rows, theirs: Rows) -> Mapping[int, Row | None]:
    """Return the keys of rows that only one side has, or that differ; with them our rows."""
    keys = ours.keys() | theirs.keys()
    return {key: ours.get(key) for key in keys if ours.get(key) != theirs.get(key)}


def _page_of(table: Table, *, as_stored: bool) -> Statement:
    key = next(iter(table.primary_key))
    columns: list[Any] = list(table.columns)
    if as_stored:
        columns = [type_coerce(column, NullType()).label(column.name) for column in columns]
    return Statement(
        select(*columns).where(key >= bindparam("low")).order_by(key).limit(bindparam("limit"))
    )


def _stored(writer: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if writer is None else writer(value)


def _reach(rows: Rows) -> int:
    """Return the key up to which these are all rows."""
    return HIGHEST if len(rows) < PAGE else max(rows)


def _until(rows: Rows, high: int) -> Rows:
    return rows if _reach(rows) == high else {k: row for k, row in rows.items() if k <= high}


COMPARED: Final = (CERTIFICATES, retired)
