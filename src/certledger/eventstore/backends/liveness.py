"""Whether a server was ever reached, and whether a pooled connection still has one behind it."""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import Connection, Engine, event, exc

_IDLE_SINCE: Final = "certledger idle since"
_ASKED_AFTER: Final = 10.0
"""Servers, proxies and firewalls end connections that were idle for minutes."""


class Liveness:
    """Watches the connections of an engine on a server."""

    def __init__(self, engine: Engine) -> None:
        """Listen to the engine's pool; the engine may not be in use yet."""
        self._dialect = engine.dialect
        self.reached = False
        """Whether there ever was a connection."""
        event.listen(engine, "connect", self._connected, insert=True)
        event.listen(engine, "checkin", _note_the_time)
        event.listen(engine, "checkout", self._ask_after_idling)

    def refresh(self, connection: Connection) -> None:
        """Give a connection on which nothing has begun another session where its own was ended."""
        while not self._answers(connection.connection.dbapi_connection):
            connection.invalidate()

    def _connected(self, _connection: Any, _record: Any) -> None:
        self.reached = True

    def _ask_after_idling(self, connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.pop(_IDLE_SINCE, None)
        if since is not None and time.monotonic() - since > _ASKED_AFTER:  # noqa: SIM102 # the second question costs a round trip
            if not self._answers(connection):
                raise exc.DisconnectionError

    def _answers(self, connection: Any) -> bool:
        try:
            return self._dialect.do_ping(connection)
        except self._dialect.loaded_dbapi.Error:
            return False


def _note_the_time(_connection: Any, record: Any) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()
