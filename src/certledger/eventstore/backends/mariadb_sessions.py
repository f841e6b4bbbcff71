"""Sessions of MariaDB and MySQL: their settings, and what their transactions are."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.pool import PoolResetState

from certledger.errors import NotARegistry, StorageUnavailable
from certledger.eventstore.backends.backend import Mode

SMALLEST_PACKET: Final = 2**20
"""What `max_allowed_packet` must be: statements of several rows are written up to nearly this
length, and the longest single row takes less.
"""

SETTINGS: Final[Mapping[str, object]] = {
    "sql_mode": (
        "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
        "NO_ENGINE_SUBSTITUTION"
    ),
    "time_zone": "+00:00",
    # COMMIT ends a transaction and does nothing else.
    "completion_type": 0,
    "foreign_key_checks": 1,
    "unique_checks": 1,
    # Would have `id IS NULL` find the row that was inserted last.
    "sql_auto_is_null": 0,
    # Would refuse an UPDATE of the head by its size, and cut off long results.
    "sql_safe_updates": 0,
    "sql_select_limit": 2**64 - 1,
}
"""What a session must have, whatever the defaults of the server and its `init_connect` are."""

_LEVEL: Final = "certledger transactions"
"""What `Connection.info` holds of the session's next transactions, where it is known."""

_CHANGING: Final = "READ COMMITTED, READ WRITE"
_OF_MODE: Final[Mapping[Mode | None, str]] = {
    Mode.READ: "REPEATABLE READ, READ ONLY",
    Mode.ALONE: "REPEATABLE READ, READ WRITE",
    Mode.WRITE: _CHANGING,
    None: _CHANGING,
}
_VANISHED: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class SetUp:
    """Sets a new session to what the registry takes for granted."""

    def __init__(self, *, wait_seconds: float) -> None:
        """Wait for locks of rows and of tables up to `wait_seconds`, at least one."""
        wait = max(1, int(wait_seconds))
        self._values = {**SETTINGS, "innodb_lock_wait_timeout": wait, "lock_wait_timeout": wait}
        marks = ", ".join(f"{name} = %s" for name in self._values)
        self._statement = f"SET SESSION {marks}"

    def __call__(self, connection: Any, record: Any) -> None:
        """Set up the session.

        Raises `NotARegistry` where no database is named, `StorageUnavailable` where the server
        takes no statements of the length that the registry needs.
        """
        with connection.cursor() as cursor:
            cursor.execute(self._statement, tuple(self._values.values()))
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {_CHANGING}")
            cursor.execute("SELECT database(), @@max_allowed_packet")
            database, packet = cursor.fetchone()
        _require_database(database)
        _require_room(packet)
        _notice_a_vanished_server(connection)
        record.info[_LEVEL] = _CHANGING


def begin(connection: Connection, mode: Mode | None) -> None:
    """Have the session's transactions be what `mode` asks for.

    The driver begins them by their first statement, so this costs nothing where nothing changes.
    Isolation that a caller asked for by SQLAlchemy's `isolation_level` is the caller's.
    """
    info = connection.info
    if mode is None and "isolation_level" in connection.get_execution_options():
        info.pop(_LEVEL, None)
        return
    wanted = _OF_MODE[mode]
    if info.get(_LEVEL) != wanted:
        info.pop(_LEVEL, None)
        driver: Any = connection.connection.dbapi_connection
        with driver.cursor() as cursor:
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {wanted}")
        info[_LEVEL] = wanted


def reset(connection: Any, record: Any, state: PoolResetState) -> None:
    """Roll back what a connection that comes back to the pool has begun.

    Where its server is gone it is dropped without a word: SQLAlchemy's own way would write that
    into the log as an error, though nothing is amiss.
    """
    import pymysql  # noqa: PLC0415 # an optional package, there where its errors are

    if state.transaction_was_reset or state.terminate_only:
        return
    try:
        connection.rollback()
    except pymysql.MySQLError:
        record.invalidate()


def _require_database(name: str | None) -> None:
    if name is None:
        message = "the URL names no database; write it behind the server: mariadb://HOST/DATABASE"
        raise NotARegistry(message)


def _require_room(packet: int) -> None:
    if packet < SMALLEST_PACKET:
        message = (
            f"max_allowed_packet of the server is {packet} bytes, and the registry needs "
            f"{SMALLEST_PACKET}: SET GLOBAL max_allowed_packet = {SMALLEST_PACKET * 16}, and the "
            "same in the server's configuration"
        )
        raise StorageUnavailable(message)


def _notice_a_vanished_server(connection: Any) -> None:
    """Give a server that vanished without a word up after a minute, not after hours.

    PyMySQL asks for keep-alives, but at the pace of the system; its socket has no public name.
    """
    connected = getattr(connection, "_sock", None)
    if not isinstance(connected, socket.socket):
        return
    if connected.family in {socket.AF_INET, socket.AF_INET6}:
        for name, value in _VANISHED.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
