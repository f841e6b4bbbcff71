"""What PyMySQL sends to a database, told before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymysql.connections import Connection
from sqlalchemy.engine import make_url


@contextmanager
def watched(url: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Have `tell` told of each command of this process to a database; what it raises, the command
    raises.
    """
    send: Any = Connection._execute_command  # type: ignore[attr-defined] # of the driver itself
    name = make_url(url).database

    def told(self: Any, command: int, sql: Any) -> None:
        database = self.db.decode() if isinstance(self.db, bytes) else self.db
        if database == name:
            tell(sql.decode(errors="replace") if isinstance(sql, bytes | bytearray) else str(sql))
        send(self, command, sql)

    Connection._execute_command = told  # type: ignore[attr-defined] # the same
    try:
        yield
    finally:
        Connection._execute_command = send  # type: ignore[attr-defined] # the same


def commands(url: str, work: Callable[[], object]) -> list[str]:
    """What some work sends to a database."""
    sent: list[str] = []
    with watched(url, sent.append):
        work()
    return sent
