"""A registry's tables as somebody with SQL sees them, past the library."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy
from sqlalchemy.pool import NullPool

from certledger.eventstore.urls import sync_url
from certledger.testing.rfc6962 import naive_root

CERTIFICATES: Final = (
    "id",
    "serial_number",
    "common_name",
    "status",
    "not_valid_before",
    "not_valid_after",
    "key_type",
    "certificate_pem",
    "revocation_date",
    "revocation_reason",
    "uuid",
)
RETIRED: Final = (
    "seq",
    "serial_number",
    "last_state",
    "revocation_date",
    "revocation_reason",
    "not_valid_after",
)
LOG: Final = "SELECT seq, subject, streamversion, entry FROM log_entry ORDER BY seq"
HEAD: Final = "SELECT size, root FROM log_head"
_DATES: Final = {"not_valid_before", "not_valid_after", "revocation_date"}
Values = tuple[object, ...]


class Raw:
    """A connection on which each statement takes effect, and sees what is there, at once."""

    def __init__(self, url: str) -> None:
        engine = sqlalchemy.create_engine(
            sync_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        self._connection = engine.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    def run(self, sql: str) -> list[Any]:
        return list(self._connection.exec_driver_sql(sql).all())

    def certificates(self) -> dict[int, Values]:
        """The rows of `certificates` by id."""
        return self._keyed("certificates", CERTIFICATES)

    def retired(self) -> dict[int, Values]:
        """The rows of `retired` by seq."""
        return self._keyed("retired", RETIRED)

    def _keyed(self, table: str, columns: tuple[str, ...]) -> dict[int, Values]:
        rows = self.run(f"SELECT {', '.join(columns)} FROM {table}")
        return {row[0]: tuple(map(_value, columns, row)) for row in rows}

    def check_log(self) -> int:
        """Hold positions, stream versions and the head's root against their definition.

        Returns the number of entries.
        """
        return check_log(self.run(LOG), self.run(HEAD))


def check_log(rows: Sequence[Sequence[Any]], heads: Sequence[Sequence[Any]]) -> int:
    """Hold the rows of `LOG` and of `HEAD` against their definition, and return how many entries
    there are.
    """
    assert [row[0] for row in rows] == list(range(len(rows)))
    versions: dict[str, int] = {}
    for _, subject, version, _ in rows:
        assert version == versions.get(subject, 0)
        versions[subject] = version + 1
    root = naive_root([bytes(row[3]) for row in rows])
    ((size, stored),) = heads
    assert (size, bytes(stored)) == (len(rows), root)
    return len(rows)


def _value(column: str, value: object) -> object:
    """Return a value as the model has it: SQLite keeps datetimes as text."""
    if column in _DATES and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value
