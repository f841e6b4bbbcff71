"""The typed API of a registry, for asynchronous code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Self

from sqlalchemy.engine import URL

from certledger.auto_signing import AutoSigner
from certledger.eventstore.database import RETRY_SECONDS, Database, database_of
from certledger.eventstore.times import Clock, utc_now
from certledger.first_use import OnFirstUse
from certledger.ledger import DEFAULT_URL, Ledger
from certledger.threaded import Threaded, change, job, read, stream
from certledger.unit_of_work import random_id
from certledger.worker_threads import WorkerThreads

__all__ = ["AsyncLedger"]


class AsyncLedger(Threaded[Ledger]):
    """A `Ledger` whose methods are coroutines, and its iterators asynchronous generators.

    Each call is the `Ledger`'s own, with the same arguments, results and errors, in a thread of
    this object's. The actor is the calling task's (`acting_as`). `progress` and other functions
    that are passed in are called in that thread, and what is passed in to be iterated is iterated
    there.

    A call whose task is cancelled is either done or not, never by half: one that waits for its
    turn never begins, one that has begun goes on to its end. To learn which, send it again with
    the same `command_id`.

    The registry is opened by the first call, or by `async with`, which also closes it. One object
    serves several event loops, one after another or in several threads.
    """

    def __init__(
        self,
        url: str | URL | Database = DEFAULT_URL,
        *,
        schema: str | None = None,
        create: bool = True,
        origin: str | None = None,
        clock: Clock = utc_now,
        new_id: Callable[[], str] = random_id,
        allow_clock_behind: bool = False,
        retry_seconds: float = RETRY_SECONDS,
        logger: logging.Logger | None = None,
        signer: AutoSigner | None = None,
    ) -> None:
        """Take what `Ledger` takes. Nothing is opened yet: its errors come with the first call.

        Raises `InvalidValue` for a text that is no database URL.
        """
        database = database_of(url, schema=schema, retry_seconds=retry_seconds)

        def open_it() -> Ledger:
            return Ledger(
                database,
                create=create,
                origin=origin,
                clock=clock,
                new_id=new_id,
                allow_clock_behind=allow_clock_behind,
                logger=logger,
                signer=signer,
            )

        self._use(database, open_it)

    @classmethod
    def over(cls, ledger: Ledger) -> Self:
        """Return the asynchronous side of an open `Ledger`; it closes that one's connections."""
        return cls.opened_by(ledger.database, lambda: ledger)

    @classmethod
    def opened_by(cls, database: Database, open_it: Callable[[], Ledger]) -> Self:
        """Return the asynchronous side of what `open_it` opens in a database."""
        made = cls.__new__(cls)
        made._use(database, open_it)  # noqa: SLF001 # a second constructor
        return made

    def _use(self, database: Database, open_it: Callable[[], Ledger]) -> None:
        opened = OnFirstUse(open_it)

        def disconnect() -> None:
            database.close()
            opened.forget()  # what was in memory is gone now

        super().__init__(opened, WorkerThreads(), disconnect)
        self.database = database
        self._opened = opened

    @property
    def is_open(self) -> bool:
        """Whether a call has opened the registry."""
        return self._opened.is_made

    @property
    def url(self) -> str:
        """The database's URL without its password."""
        return str(self.database)

    @property
    def file(self) -> Path | None:
        """The path of an SQLite file, None for other databases."""
        return self.database.file

    # Commands

    issue = change(Ledger.issue)
    issue_many = stream(Ledger.issue_many)
    revoke = change(Ledger.revoke)
    expire_due = job(Ledger.expire_due)
    delete = change(Ledger.delete)
    crl = job(Ledger.crl)

    # Queries

    get = read(Ledger.get)
    find = read(Ledger.find)
    list = read(Ledger.list)
    each = stream(Ledger.each)
    count = read(Ledger.count)
    expiring = read(Ledger.expiring)
    revoked = read(Ledger.revoked)
    history = read(Ledger.history)
    events = stream(Ledger.events)
    head = read(Ledger.head)
    status = read(Ledger.status)

    # Checks

    drift = stream(Ledger.drift)
    rebuild = job(Ledger.rebuild)
    verify = stream(Ledger.verify)
