"""What the suite needs to know of a kind of database, or of another implementation of `BaseDB`."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Literal, NoReturn, Protocol, Self

import pytest
import sqlalchemy
from sqlalchemy.pool import NullPool

from certledger.db.async_db_manager import AsyncDBHandler
from certledger.db.base_db import BaseDB
from certledger.db.sync_db_manager import SyncDBHandler
from certledger.eventstore.database import RETRY_SECONDS, Database
from certledger.ledger import Ledger
from certledger.testing.blocking import Blocking
from certledger.testing.clock import FakeClock
from certledger.testing.proxy import Proxy

Flavour = Literal["sync", "async"]


@dataclass(frozen=True)
class Opened:
    """A handler that is open, and what lies under it."""

    handler: BaseDB
    """An asynchronous one is wrapped in `Blocking`."""
    ledger: Ledger | None
    """The registry of a handler of certledger; None for other implementations of `BaseDB`."""
    close: Callable[[], None]
    disconnect: Callable[[], None] = lambda: None
    """Closes idle connections; the handler makes new ones when it is used again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Server(Protocol):
    """A server of the test alone."""

    @property
    def url(self) -> str:
        """Of an empty database on it."""

    def kill(self) -> None:
        """End it by SIGKILL."""

    def start(self) -> None:
        """Start it again on the same address; return when it answers."""


@dataclass(frozen=True)
class CutOff:
    """A way to a database that can be closed: nobody who goes by it reaches the database then."""

    url: str
    close: Callable[[], None]


class Backend(ABC):
    """A kind of database. What a subclass does not give is skipped, with a reason."""

    name: ClassVar[str] = ""
    """For the reasons of skips."""
    shared: ClassVar[bool] = True
    """Whether everybody who has the URL reaches the same database."""
    takes_clock: ClassVar[bool] = True
    """Whether `open` gives the handler the clock of the test."""
    of_certledger: ClassVar[bool] = True
    """Whether `open` gives a handler of certledger, with a `Ledger` under it."""

    @abstractmethod
    def empty(self) -> AbstractContextManager[str]:
        """Lend an empty database by its URL, and remove it at the end."""

    def open(
        self,
        url: str,
        flavour: Flavour,
        *,
        clock: FakeClock,
        logger: logging.Logger,
        raise_errors: bool = False,
        retry_seconds: float = RETRY_SECONDS,
    ) -> Opened:
        """Open the registry in a database, or make it; by default with certledger's handlers."""
        ledger = Ledger(url, clock=clock, logger=logger, retry_seconds=retry_seconds)
        return over(ledger, flavour, logger, raise_errors=raise_errors)

    @contextmanager
    def stranger(self, url: str) -> Iterator[sqlalchemy.Connection]:
        """Lend a connection past the library, on which each statement takes effect at once."""
        self.require_shared()
        target = Database(url).url
        engine = sqlalchemy.create_engine(target, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            yield connection

    @contextmanager
    def locked(self, url: str) -> Iterator[None]:
        """Keep the lock that every change of the registry must take."""
        with self.stranger(url) as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT size FROM log_head FOR UPDATE").all()
            yield

    def proxy(self, url: str) -> AbstractContextManager[Proxy]:
        """Lend a TCP proxy in front of the server."""
        del url
        self.cannot("come between it and its clients")

    def cut_off(self, url: str) -> AbstractContextManager[CutOff]:
        """Lend a way to the database that can be closed."""
        del url
        self.cannot("close the way to its database")

    def refuse_expiry(self, url: str, serial: int) -> None:
        """Have the table refuse that a certificate becomes expired, by a constraint `stop`."""
        with self.stranger(url) as connection:
            connection.exec_driver_sql(
                "ALTER TABLE certificates ADD CONSTRAINT stop "
                f"CHECK (NOT (serial_number = '{serial}' AND status = 'expired'))"
            )

    @contextmanager
    def unguarded(self, url: str) -> Iterator[sqlalchemy.Connection]:
        """Lend a stranger's connection while the triggers of the log are away."""
        del url
        self.cannot("take the triggers of the log away")
        yield

    def own_server(self) -> AbstractContextManager[Server]:
        """Lend a server that may be killed."""
        self.cannot("start a server")

    def reader(self, url: str) -> AbstractContextManager[str]:
        """Lend the URL by which a database can only be read."""
        del url
        self.cannot("make a role that may only read")

    def require_shared(self) -> None:
        """Skip the test where each handler has a database of its own."""
        if not self.shared:
            pytest.skip(f"{self.name}: nobody else reaches the database of a handler")

    def require_clock(self) -> None:
        """Skip the test where the handler goes by a clock that the test cannot set."""
        if not self.takes_clock:
            pytest.skip(f"{self.name}: its clock cannot be set")

    def require_certledger(self) -> None:
        """Skip the test where the handler is another implementation of `BaseDB`."""
        if not self.of_certledger:
            pytest.skip(f"{self.name}: its handlers are not certledger's")

    def cannot(self, what: str) -> NoReturn:
        """Skip the test: the backend does not give what it needs."""
        pytest.skip(f"{self.name}: the backend does not say how to {what}")


def over(
    ledger: Ledger, flavour: Flavour, logger: logging.Logger, *, raise_errors: bool = False
) -> Opened:
    """Open a handler of certledger over an open registry, which is closed with it."""
    if flavour == "sync":
        handler = SyncDBHandler.over(ledger, logger, raise_errors=raise_errors)
        return Opened(handler, ledger, handler.close, ledger.close)
    blocking = Blocking(AsyncDBHandler.over(ledger, logger, raise_errors=raise_errors))
    return Opened(blocking, ledger, blocking.close, ledger.close)
