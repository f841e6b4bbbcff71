"""A database whose answer to a commit gets lost on the way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from certledger.eventstore.database import Database


def transient() -> sqlite3.OperationalError:
    """An error after which a unit of work is tried again."""
    error = sqlite3.OperationalError("the answer was lost")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


def broken() -> sqlite3.OperationalError:
    """An error after which it is not."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


@contextmanager
def lost_answers(
    database: Database,
    *,
    times: int = 1,
    committed: bool = True,
    error: Callable[[], Exception] = transient,
) -> Iterator[list[bool]]:
    """Let the next commits of changes fail for the caller, although (or not) they happened.

    Gives a list that grows with each of them.
    """
    dialect: Any = database.engine.dialect
    commit = dialect.do_commit
    lost: list[bool] = []
    changes: dict[Any, int] = {}

    def do_commit(connection: Any) -> None:
        driver = connection.dbapi_connection
        total = driver.total_changes
        before = changes.get(driver, 0)
        changes[driver] = total
        if total == before or len(lost) == times:
            commit(connection)
            return
        if committed:
            commit(connection)
        lost.append(committed)
        raise error()

    dialect.do_commit = do_commit
    try:
        yield lost
    finally:
        dialect.do_commit = commit
