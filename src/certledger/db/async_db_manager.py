"""The registry as callers of the contract know it, for asynchronous code."""

# A coroutine is no substitute for its result, but callers have always had the asynchronous
# handler as a BaseDB too.
# mypy: disable-error-code="assignment, override"

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from logging import Logger
from typing import Final, Self

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from certledger.async_ledger import AsyncLedger
from certledger.db.async_engine import make_async_engine
from certledger.db.base_db import BaseDB
from certledger.db.models import create_callers_tables
from certledger.db.sync_db_manager import CRL_WINDOW, SyncDBHandler
from certledger.eventstore.database import Database
from certledger.first_use import OnFirstUse
from certledger.ledger import Ledger
from certledger.projections.queries import RevokedRow
from certledger.threaded import Threaded, change, job, read

__all__ = ["AsyncDBHandler", "DatabaseManager"]

DEFAULT_URL: Final = "sqlite+aiosqlite:///ca_repository.db"


class DatabaseManager:
    """A database and asynchronous sessions on its read model.

    Nothing is opened yet. `init_db`, or the first connection of a session, makes the registry
    where there is none, and the tables that callers declared on `Base`. Engine and sessions are
    of no particular event loop; they need the driver of `certledger[async]`. `schema` is as for
    the synchronous one.

    Raises `InvalidValue` for a text that is no database URL.
    """

    def __init__(self, db_url: str = DEFAULT_URL, *, schema: str | None = None) -> None:
        self._use(_ledger_in(Database(db_url, schema=schema)))

    @classmethod
    def over(cls, ledger: AsyncLedger) -> Self:
        """Return a manager of the database of an `AsyncLedger`."""
        manager = cls.__new__(cls)
        manager._use(ledger)  # noqa: SLF001 # a second constructor
        return manager

    def _use(self, ledger: AsyncLedger) -> None:
        engine = OnFirstUse(lambda: make_async_engine(ledger))
        self._ledger = ledger
        self._engine = engine
        self._sessions = OnFirstUse(
            lambda: async_sessionmaker(engine(), expire_on_commit=False, class_=AsyncSession)
        )

    @property
    def engine(self) -> AsyncEngine:
        """The engine of the sessions. Raises `InvalidValue` where its driver is missing."""
        return self._engine()

    @property
    def async_session(self) -> async_sessionmaker[AsyncSession]:
        """What makes the sessions. Raises as `engine` does."""
        return self._sessions()

    async def init_db(self) -> None:
        """Make the registry where there is none, and tables on `Base` that are missing.

        Raises the `LedgerError` that says why the database cannot be opened.
        """
        await self._ledger.threads.reads.run(self._init)

    def get_session(self) -> AsyncSession:
        """Open a session, which is the caller's to commit and to close.

        It is meant for reading, and for writing the caller's own tables: `certledger verify`
        reports what is written to `certificates` past the log. An in-memory database has one
        connection: there, close the session before others go on.

        Raises as `engine` does.
        """
        return self.async_session()

    async def close(self) -> None:
        """Wait for what is going on, and close the connections of calls; sessions keep theirs."""
        await self._ledger.close()

    def _init(self) -> None:
        create_callers_tables(self._ledger.blocking().database)


class AsyncDBHandler(Threaded[SyncDBHandler], BaseDB):
    """The registry in a database, for asynchronous code: the methods of `BaseDB` as coroutines.

    Each call is the one of `SyncDBHandler`, in a thread of this handler's, with the actor of the
    calling task (`acting_as`). A call whose task is cancelled is either done or not, never by half.

    Nothing is opened yet: the first call does, and makes the registry where there is none. One
    handler serves several event loops, one after another or in several threads. `logger`,
    `raise_errors` and `schema` are as for `SyncDBHandler`; an error of opening is answered as any
    other.

    Raises `InvalidValue` for a text that is no database URL.
    """

    def __init__(
        self,
        db_url: str,
        logger: Logger | None = None,
        *,
        raise_errors: bool = False,
        schema: str | None = None,
    ) -> None:
        ledger = _ledger_in(Database(db_url, schema=schema), logger)
        self._serve(ledger, logger, raise_errors=raise_errors)

    @classmethod
    def over(
        cls, ledger: Ledger, logger: Logger | None = None, *, raise_errors: bool = False
    ) -> Self:
        """Return a handler of an open `Ledger`, with that one's clock and other settings."""
        handler = cls.__new__(cls)
        opened = _with_callers_tables(ledger.database, lambda: ledger)
        handler._serve(opened, logger, raise_errors=raise_errors)  # noqa: SLF001 # as above
        return handler

    def _serve(self, ledger: AsyncLedger, logger: Logger | None, *, raise_errors: bool) -> None:
        calls = SyncDBHandler.opened_by(ledger.blocking, logger, raise_errors=raise_errors)
        super().__init__(lambda: calls, ledger.threads, ledger.disconnect)
        self._ledger = ledger
        self._logger = calls._logger  # noqa: SLF001 # callers reach for both
        self._db = DatabaseManager.over(ledger)

    async def __aenter__(self) -> Self:
        """Open the registry. Raises what `init_db` raises."""
        await self._db.init_db()
        return self

    register_cert_in_db = change(SyncDBHandler.register_cert_in_db)
    get_by_serial = read(SyncDBHandler.get_by_serial)
    get_by_name = read(SyncDBHandler.get_by_name)
    list_all = read(SyncDBHandler.list_all)
    get_expiring = read(SyncDBHandler.get_expiring)
    revoke_certificate = change(SyncDBHandler.revoke_certificate)
    delete_by_uuid = change(SyncDBHandler.delete_by_uuid)
    update_status_expired = job(SyncDBHandler.update_status_expired)

    async def get_revoked_certificates(
        self, *, window: timedelta | None = CRL_WINDOW
    ) -> AsyncGenerator[RevokedRow, None]:
        """Yield what a CRL lists; see `SyncDBHandler`."""

        def rows() -> list[RevokedRow]:
            return list(self.blocking().get_revoked_certificates(window=window))

        for row in await self.threads.reads.run(rows):
            yield row


def _ledger_in(database: Database, logger: Logger | None = None) -> AsyncLedger:
    return _with_callers_tables(database, lambda: Ledger(database, logger=logger))


def _with_callers_tables(database: Database, open_ledger: Callable[[], Ledger]) -> AsyncLedger:
    def open_it() -> Ledger:
        ledger = open_ledger()
        create_callers_tables(database)
        return ledger

    return AsyncLedger.opened_by(database, open_it)
