"""An engine on the asynchronous driver of a database, for sessions of its callers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from sqlalchemy import NullPool, PoolProxiedConnection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_

from certledger.async_ledger import AsyncLedger
from certledger.errors import InvalidValue
from certledger.eventstore.database import Database
from certledger.eventstore.urls import async_url
from certledger.first_use import OnFirstUse


def make_async_engine(ledger: AsyncLedger) -> AsyncEngine:
    """Return an engine on the database of a registry, with connections set up as the registry's.

    It keeps no connection, as one belongs to the event loop that it was opened on. Where the
    registry is not open, a connection opens it first.

    Raises `InvalidValue` where the driver is missing.
    """
    database = ledger.database
    try:
        engine = create_async_engine(async_url(database.engine.url), poolclass=NullPool)
    except ImportError as error:
        message = (
            f"sessions need the package {error.name}, which is not installed: "
            "pip install certledger[async]"
        )
        raise InvalidValue(message) from error
    database.set_up_sessions(engine.sync_engine)
    event.listen(engine.sync_engine, "do_connect", _Connect(engine, ledger))
    return engine


class _Connect:
    """What comes before each connection of an engine."""

    def __init__(self, engine: AsyncEngine, ledger: AsyncLedger) -> None:
        self._ledger = ledger
        self._first = _FirstConnection(engine)

    def __call__(
        self, _dialect: object, _record: object, _arguments: object, options: dict[str, Any]
    ) -> None:
        if not (self._is_ready or self._first.is_being_made_here):
            await_(self._ledger.threads.reads.run(self._get_ready))
        if self._ledger.database.in_memory:
            options["factory"] = self._lend

    @property
    def _is_ready(self) -> bool:
        return self._ledger.is_open and self._first.made.is_made

    def _get_ready(self) -> None:
        self._ledger.blocking()
        self._first.made()

    def _lend(self, *_arguments: object, **_options: object) -> _Lent:
        """Return what `sqlite3.connect` is to return."""
        return _Lent(self._ledger.database)


class _FirstConnection:
    """The first connection of an engine, on an event loop of its own.

    SQLAlchemy then asks the database what it can do, under a lock of the event loop: tasks of
    several loops must not be the first at once.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.made = OnFirstUse(self._make)
        self._engine = engine
        self._thread: int | None = None

    @property
    def is_being_made_here(self) -> bool:
        return self._thread == threading.get_ident()

    def _make(self) -> None:
        self._thread = threading.get_ident()
        try:
            asyncio.run(self._connect())
        finally:
            self._thread = None

    async def _connect(self) -> None:
        async with self._engine.connect():
            pass


class _Lent:
    """The one connection of an in-memory database, which `close` gives back.

    Until then everybody else waits. It is lent in the driver's thread, so waiting for it holds up
    no event loop.
    """

    def __init__(self, database: Database) -> None:
        self._lent: PoolProxiedConnection = database.engine.raw_connection()
        self._connection: Any = self._lent.dbapi_connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        self._lent.close()
