"""An engine on the asynchronous driver of a database, for sessions of its callers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import NullPool, PoolProxiedConnection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_

from certledger.errors import InvalidValue
from certledger.eventstore.database import Database
from certledger.eventstore.urls import async_url


def make_async_engine(database: Database, be_open: Callable[[], Awaitable[object]]) -> AsyncEngine:
    """Return an engine whose connections are set up as the database's own are.

    It keeps no connection, as one belongs to the event loop that it was opened on. `be_open` is
    awaited before each connection: it opens the registry where that is not open.

    Raises `InvalidValue` where the driver is missing.
    """
    url = async_url(database.engine.url)
    try:
        engine = create_async_engine(url, poolclass=NullPool)
    except ImportError as error:
        message = (
            f"sessions need the package {error.name}, which is not installed: "
            "pip install certledger[async]"
        )
        raise InvalidValue(message) from error

    def connect(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
        await_(be_open())
        if database.in_memory:
            # sqlite3.connect() returns what this returns.
            options["factory"] = lambda *_args, **_options: _Lent(database.engine.raw_connection())

    event.listen(engine.sync_engine, "do_connect", connect)
    database.set_up_sessions(engine.sync_engine)
    return engine


class _Lent:
    """The one connection of an in-memory database, which `close` gives back.

    Until then everybody else waits. It is lent in the driver's thread, so waiting for it holds up
    no event loop.
    """

    def __init__(self, lent: PoolProxiedConnection) -> None:
        self._lent = lent
        self._connection: Any = lent.dbapi_connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        self._lent.close()
