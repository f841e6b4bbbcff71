"""The log as it is stored, column by column, believed in nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, type_coerce
from sqlalchemy.types import NullType

from certledger.eventstore.database import Database
from certledger.eventstore.statement import Row, Statement
from certledger.eventstore.tables import log_entry, log_head
from certledger.projections.differences import HIGHEST, LOWEST

PAGE: Final = 1_000
"""How many entries are in memory at once."""


class StoredEntry(NamedTuple):
    """A row of `log_entry`; but for `seq`, any column may hold a value of any type."""

    seq: int
    hashes: Any
    event_id: Any
    subject: Any
    streamversion: Any
    type: Any
    actor: Any
    uuid: Any
    recorded_at: Any
    entry: Any


class StoredHead(NamedTuple):
    """A row of `log_head`; any column may hold a value of any type."""

    origin: Any
    format: Any
    size: Any
    root: Any
    frontier: Any
    recorded_at: Any
    created: Any


@dataclass(frozen=True, slots=True)
class Extent:
    """Head and end of the log, as one snapshot shows them."""

    heads: list[StoredHead]
    last: int | None
    """The greatest seq, None where there is no entry."""

    @property
    def stop(self) -> int:
        """The position after the last entry."""
        return 0 if self.last is None else self.last + 1

    @property
    def size(self) -> int | None:
        """The size that the head states, None where it states none."""
        size = self.head.size if self.head is not None else None
        return size if isinstance(size, int) and size >= 0 else None

    @property
    def expected(self) -> int:
        """The size that the head states, or the log has."""
        return self.stop if self.size is None else self.size

    @property
    def head(self) -> StoredHead | None:
        """The head, where there is one."""
        return self.heads[0] if len(self.heads) == 1 else None

    @property
    def origin(self) -> str | None:
        """The origin that the head states, None where it states none."""
        origin = self.head.origin if self.head is not None else None
        return origin if isinstance(origin, str) else None


def _as_stored(table: Any, names: tuple[str, ...]) -> list[Any]:
    return [type_coerce(table.c[name], NullType()).label(name) for name in names]


_heads = select(*_as_stored(log_head, StoredHead._fields)).limit(3)
_last = select(func.max(log_entry.c.seq))
_page = Statement(
    select(*_as_stored(log_entry, StoredEntry._fields))
    .where(log_entry.c.seq.between(bindparam("low"), bindparam("high")))
    .order_by(log_entry.c.seq)
    .limit(PAGE)
)


def read_extent(connection: Connection) -> Extent:
    """Read head and end of the log in one transaction."""
    heads = [StoredHead(*row) for row in connection.execute(_heads)]
    return Extent(heads, connection.scalar(_last))


def entry_pages(
    database: Database, connection: Connection, last: int | None
) -> Iterator[list[Row]]:
    """Yield all entries up to `last` in pages, a short read transaction for each.

    A row has the columns in the order of `StoredEntry`.
    """
    low = LOWEST if last is not None else HIGHEST
    while last is not None and low <= last:
        with database.transaction(connection):
            page = _page.rows(connection, low=low, high=last)
        if not page:
            return
        yield page
        low = page[-1][0] + 1


def shown(value: object) -> str:
    """Write a stored value for a message: in one short line, whatever it is."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def told(error: Exception) -> str:
    """Write what an error says about stored values: printable, and of bearable length."""
    text = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(error))
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}…"


_LONGEST = 80
_LONGEST_ERROR = 400
