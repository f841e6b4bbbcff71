"""A registry's SQLite file as somebody with SQL sees it, past the library."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

from tests.support.rfc6962 import naive_root

COLUMNS = (
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
RETIRED_COLUMNS = (
    "seq",
    "serial_number",
    "last_state",
    "revocation_date",
    "revocation_reason",
    "not_valid_after",
)
Values = tuple[object, ...]


class RawFile:
    """A connection of the standard library's driver."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    def close(self) -> None:
        self._connection.close()

    def run(self, sql: str, *values: object) -> list[Values]:
        return self._connection.execute(sql, values).fetchall()

    def table(self) -> dict[int, Values]:
        """The rows of `certificates` by id."""
        return self._keyed(f"SELECT {', '.join(COLUMNS)} FROM certificates")

    def retired(self) -> dict[int, Values]:
        """The rows of `retired` by seq."""
        return self._keyed(f"SELECT {', '.join(RETIRED_COLUMNS)} FROM retired")

    def _keyed(self, sql: str) -> dict[int, Values]:
        return {int(str(row[0])): row for row in self.run(sql)}

    def check_log(self) -> int:
        """Hold positions, stream versions and the head's root against their definition.

        Returns the number of entries.
        """
        rows = self.run("SELECT seq, subject, streamversion, entry FROM log_entry ORDER BY seq")
        assert [row[0] for row in rows] == list(range(len(rows)))
        versions: dict[object, int] = {}
        for _, subject, version, _ in rows:
            assert version == versions.get(subject, 0)
            versions[subject] = versions.get(subject, 0) + 1
        entries = [entry for *_, entry in rows if isinstance(entry, bytes)]
        assert len(entries) == len(rows)
        assert self.run("SELECT size, root FROM log_head") == [(len(rows), naive_root(entries))]
        return len(rows)


def stored(values: Values) -> Values:
    """The values as SQLite holds them: datetimes are text with six digits."""
    return tuple(
        f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value
        for value in values
    )
