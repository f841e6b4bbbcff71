"""What a kind of database must be able to do for the registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from typing import ClassVar

from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.engine import URL

from certledger.errors import StorageError
from certledger.eventstore.symptom import Symptom


class Mode(Enum):
    """What a transaction is for; a caller's own session has none."""

    READ = "read"
    """One snapshot for all that is read; nothing is written."""
    WRITE = "write"
    """Each statement sees what is committed, and the log can be locked."""
    ALONE = "alone"
    """One snapshot of the registry's tables, and temporary tables may be written."""


MODE_OPTION = "certledger_mode"
"""The execution option of a connection that holds its `Mode`."""

READING_OPTION = "certledger_reading"
"""The execution option of a connection lent alone, whose transactions only read."""

HIDDEN = "hidden"
"""Stands for the words of a trigger that is there, but not shown to the user."""


class Backend(ABC):
    """A kind of database: how it is connected to, and what its errors and settings mean."""

    name: ClassVar[str]
    ddl_is_transactional: ClassVar[bool] = True
    """Whether tables that are made in a transaction vanish when it is rolled back."""
    triggers: ClassVar[Mapping[str, str]]
    """The triggers that keep the log append-only: name to DDL. `stored_triggers` gives the same
    words where nobody changed them.
    """

    @abstractmethod
    def make_engine(self, url: URL, retry_seconds: float) -> Engine:
        """Return an engine whose connections are set up for durable, explicit transactions.

        `retry_seconds` bounds how long a connection waits for a lock.
        """

    @abstractmethod
    def set_up_sessions(self, engine: Engine, retry_seconds: float) -> None:
        """Set up the connections of an engine that somebody else made, perhaps the sync side of an
        asynchronous one, as those of `make_engine` are for transactions without a `Mode`.
        """

    def is_in_memory(self, url: URL) -> bool:
        """Tell whether a URL names a database of one connection that ends with the process."""
        del url
        return False

    @abstractmethod
    def is_transient(self, error: BaseException) -> bool:
        """Tell whether the driver's error may be gone when the unit of work is run again."""

    def is_lost(self, error: BaseException) -> bool:
        """Tell whether the driver's error means that the server is not, or no longer, there.

        Whether a commit whose answer is missing took place is then unknown.
        """
        del error
        return False

    @abstractmethod
    def explain(self, error: BaseException, database: str) -> StorageError | None:
        """Return what the driver's error means for its database, with what to do; None where it
        has no meaning of its own.
        """

    def together(self, connection: Connection) -> AbstractContextManager[None]:
        """Send statements that are asked in the block without waiting for the answer to each, where
        the driver can. The answers are there after the block, in which the first error is raised.
        """
        del connection
        return nullcontext()

    def is_duplicate(self, error: BaseException) -> bool:
        """Tell whether an INSERT was refused, and nothing but it undone, as a row with a unique
        value of its exists. False where it says so by itself (`ON CONFLICT DO NOTHING`).
        """
        del error
        return False

    def text_of(self, error: BaseException) -> str:
        """Return the message of the driver's error, without codes and context."""
        return str(error)

    @contextmanager
    def making(self, connection: Connection) -> Iterator[None]:
        """Let nobody else make tables meanwhile. A write transaction has begun."""
        del connection
        yield

    def create_triggers(self, connection: Connection) -> None:
        """Make the triggers of the log's tables, which have none of them yet."""
        for ddl in self.triggers.values():
            connection.exec_driver_sql(ddl)

    def drop_trigger(self, connection: Connection, name: str, table: str) -> None:
        """Remove a trigger of the registry's, in whatever state it is; none is no error."""
        del table
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")

    @abstractmethod
    def stored_triggers(self, connection: Connection, tables: tuple[str, ...]) -> dict[str, str]:
        """Return the triggers on some tables, by name, in the words of `triggers`, or as `HIDDEN`
        where their words are not shown.
        """

    def has_temporary_tables(self, connection: Connection) -> bool:
        """Tell whether temporary tables can be made beside the registry's."""
        del connection
        return True

    def interferences(self, connection: Connection, tables: tuple[str, ...]) -> list[Symptom]:
        """Say what beside triggers changes which rows statements on some tables read or write."""
        del connection, tables
        return []

    @abstractmethod
    def weaknesses(self, connection: Connection) -> list[Symptom]:
        """Say which settings of a connection weaken durability, each with what mends it."""

    def take_statistics(self, connection: Connection, tables: tuple[str, ...]) -> None:
        """Let the planner know tables into which much was written at once, where it is not told
        by itself right then.
        """
        del connection, tables

    def opens_temporary_tables_twice(self, connection: Connection) -> bool:
        """Tell whether one statement may name a temporary table twice."""
        del connection
        return True

    def faults_of_storage(self, connection: Connection, table: Table) -> list[str]:
        """Say in what a table is kept or compared otherwise than the registry makes it, but for
        its columns and keys.
        """
        del connection, table
        return []

    @contextmanager
    def values_as_stored(self, connection: Connection) -> Iterator[None]:
        """Read values that their column's type cannot have instead of failing."""
        del connection
        yield

    def put_in_place(self, connection: Connection, new: str, name: str) -> None:
        """Let the table `new` be `name`, and drop the one that was; views and foreign keys to that
        stay. Only where tables are not made in transactions.
        """
        raise NotImplementedError

    @contextmanager
    def remaking(self, connection: Connection, table: str) -> Iterator[None]:
        """Keep who may use a table, and the foreign keys to it, while it is dropped and made anew
        in one transaction.
        """
        del connection, table
        yield

    @contextmanager
    def without_foreign_keys(self, connection: Connection) -> Iterator[None]:
        """Let a table be dropped and made anew under the foreign keys of others."""
        del connection
        yield


def on_begin(engine: Engine, begin: Callable[[Connection, Mode | None], None]) -> None:
    """Have `begin` told of every transaction that begins, and what it is for."""

    def listener(connection: Connection) -> None:
        begin(connection, connection.get_execution_options().get(MODE_OPTION))

    event.listen(engine, "begin", listener)
