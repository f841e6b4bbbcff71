"""A registry's SQLite file as somebody with SQL sees it, past the library."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

from certledger.testing.raw import CERTIFICATES, HEAD, LOG, RETIRED, Values, check_log


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
        return self._keyed(f"SELECT {', '.join(CERTIFICATES)} FROM certificates")

    def retired(self) -> dict[int, Values]:
        """The rows of `retired` by seq."""
        return self._keyed(f"SELECT {', '.join(RETIRED)} FROM retired")

    def _keyed(self, sql: str) -> dict[int, Values]:
        return {int(str(row[0])): row for row in self.run(sql)}

    def check_log(self) -> int:
        """Hold positions, stream versions and the head's root against their definition.

        Returns the number of entries.
        """
        rows = self.run(LOG)
        assert all(isinstance(row[3], bytes) for row in rows)
        return check_log(rows, self.run(HEAD))


def stored(values: Values) -> Values:
    """The values as SQLite holds them: datetimes are text with six digits."""
    return tuple(
        f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value
        for value in values
    )
