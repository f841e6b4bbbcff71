"""Replaying the log into the scratch tables, and keeping them up with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, select, type_coerce
from sqlalchemy.types import NullType

from certledger.errors import LogCorrupt, ReadOnlyRegistry, StorageUnavailable
from certledger.eventstore.database import Database
from certledger.eventstore.event import sequence_text
from certledger.eventstore.events import read_data
from certledger.eventstore.head import take_lock
from certledger.eventstore.merkle import HASH_SIZE, leaf_hash
from certledger.eventstore.statement import Row, Statement
from certledger.eventstore.tables import log_entry, log_head
from certledger.projections.differences import Difference, Pair
from certledger.projections.fetching import fetch
from certledger.projections.page import Change, Page, change_of
from certledger.projections.progress import Progress
from certledger.projections.scratch_tables import COPIES, SCRATCH

logger = logging.getLogger("certledger")

Result = TypeVar("Result")

LOCK_TRIES: Final = 3
"""How often the lock of appends is asked for; each time it is waited for."""

PAGE: Final = 1_000
"""How many entries are replayed at a time: what is in memory at once."""

_PLACE = ("sequence", "subject", "streamversion", "type")

# Values as the driver gives them: a copy column that somebody filled with garbage must not stop
# what the bytes of the entries can tell.
_stored_entries = Statement(
    select(
        *[
            type_coerce(log_entry.c[name], NullType()).label(name)
            for name in ("seq", "hashes", "subject", "streamversion", "type", "entry")
        ]
    )
    .where(log_entry.c.seq >= bindparam("start"), log_entry.c.seq < bindparam("stop"))
    .order_by(log_entry.c.seq)
)
_stored_size = Statement(select(type_coerce(log_head.c.size, NullType()).label("size")))


class Scratch:
    """The scratch tables of one connection, and how far the log is replayed into them."""

    def __init__(self, database: Database, registry: Connection, connection: Connection) -> None:
        """Take a connection to the registry, and that on which the scratch tables are: the same one
        where they can be compared in the registry's database.
        """
        self._database = database
        self.registry = registry
        self.connection = connection
        self.position = 0

    @property
    def elsewhere(self) -> bool:
        """Whether the scratch tables are not in the registry's database."""
        return self.connection is not self.registry

    @contextmanager
    def transaction(self, *, writing: bool = False) -> Iterator[None]:
        """Begin a transaction; rolled back, the tables are where they were before it."""
        before = self.position
        try:
            with self._database.transaction(self.registry, writing=writing), self._elsewhere():
                yield
        except BaseException:
            self.position = before
            raise

    def _elsewhere(self) -> AbstractContextManager[object]:
        return self.connection.begin() if self.elsewhere else nullcontext()

    def locked(self, work: Callable[[], Result], *, apart: bool = False) -> Result:
        """Run `work` while nobody else can append; wait for the lock, a few times over.

        It is in the transaction of the lock, or, `apart`, in none: another connection holds it.
        """
        once = self._locked_apart if apart else self._locked_once
        for _ in range(LOCK_TRIES - 1):
            try:
                return once(work)
            except StorageUnavailable as error:
                logger.info("rebuilding waits for the lock: %s", error)
        return once(work)

    def _locked_once(self, work: Callable[[], Result]) -> Result:
        with self.transaction(writing=True):
            take_lock(self.connection)
            return work()

    def _locked_apart(self, work: Callable[[], Result]) -> Result:
        with (
            self._database.connect_alone() as keeper,
            self._database.transaction(keeper, writing=True),
        ):
            take_lock(keeper)
            return work()

    def fill(self, progress: Progress) -> None:
        """Replay the log as far as it is now, in short read transactions.

        Raises `LogCorrupt` or `UnknownEventType`.
        """
        goal = None
        while goal is None or self.position < goal:
            with self.transaction():
                size = self.catch_up(PAGE)
            goal = size if goal is None else goal
            progress(self.position, max(goal, self.position))

    def catch_up(self, limit: int | None = None) -> int:
        """Replay what the transaction sees of the log, at most `limit` entries of it.

        Returns the size of the log. Raises `LogCorrupt` or `UnknownEventType`.
        """
        size = _log_size(self.registry)
        if size < self.position:
            message = f"the log had {self.position} entries, now its head says {size}"
            raise LogCorrupt(message)
        stop = size if limit is None else min(size, self.position + limit)
        while self.position < stop:
            end = min(self.position + PAGE, stop)
            self._replay(self.position, end)
            self.position = end
        return size

    def take(self, changes: Iterable[Change]) -> None:
        """Replay changes that somebody else has read: those that are due, one after another.

        Raises `LogCorrupt` or `UnknownEventType`.
        """
        page = Page(self.connection, self.registry)
        due = self.position
        for change in changes:
            if change.seq != due:
                message = "it is missing"
                raise LogCorrupt(message, due)
            page.apply(change)
            due += 1
        page.write()
        self.position = due

    def differences(self, pair: Pair, low: int, high: int) -> tuple[list[Difference], int]:
        """Compare the rows with keys from `low` to `high`, as `Pair.differences` does."""
        if self.elsewhere:
            high = fetch(self.registry, self.connection, pair.table, low, high)
        return pair.differences(self.connection, low, high)

    def _replay(self, start: int, stop: int) -> None:
        page = Page(self.connection, self.registry)
        due = start
        for row in _stored_entries.rows(self.registry, start=start, stop=stop):
            if row[0] != due:
                break
            page.apply(_change(row))
            due += 1
        if due != stop:
            message = "it is missing"
            raise LogCorrupt(message, due)
        page.write()


@contextmanager
def scratch_tables(database: Database, *, elsewhere: bool = False) -> Iterator[Scratch]:
    """Lend empty scratch tables; at the end they are gone.

    Where the registry's database can have none, as on a standby, they are made in a temporary
    SQLite database of this process if `elsewhere` allows it, who does not want to mend.

    Raises `ReadOnlyRegistry` where they can be made nowhere.
    """
    here = database.read(database.backend.has_temporary_tables)
    if here:
        with _scratch_here(database) as scratch:
            yield scratch
    elif elsewhere:
        with _scratch_elsewhere(database) as scratch:
            yield scratch
    else:
        message = (
            f"{database} takes no temporary tables: connect to the primary, past any pooler, as a "
            "role that may make them (GRANT TEMPORARY ON DATABASE)"
        )
        raise ReadOnlyRegistry(message)


@contextmanager
def _scratch_here(database: Database) -> Iterator[Scratch]:
    with database.connect_alone() as connection, database.backend.values_as_stored(connection):
        try:
            with database.transaction(connection):
                for table in SCRATCH:
                    table.create(connection)
            yield Scratch(database, connection, connection)
        finally:
            # They go with their connection, but that of a database in memory lives on.
            if database.in_memory:
                with database.transaction(connection):
                    for table in SCRATCH:
                        table.drop(connection, checkfirst=True)


@contextmanager
def _scratch_elsewhere(database: Database) -> Iterator[Scratch]:
    # SQLite puts temporary tables into a file that nobody else sees, and that goes with it.
    other = Database("sqlite://")
    try:
        with (
            database.connect_alone(reading=True) as registry,
            database.backend.values_as_stored(registry),
            other.connect_alone() as connection,
        ):
            with other.transaction(connection):
                for table in (*SCRATCH, *COPIES.values()):
                    table.create(connection)
            yield Scratch(database, registry, connection)
    finally:
        other.close()


def _log_size(connection: Connection) -> int:
    rows = _stored_size.rows(connection)
    if len(rows) != 1 or not isinstance(rows[0][0], int) or rows[0][0] < 0:
        message = f"the head of the log states no size: {rows!r}"
        raise LogCorrupt(message)
    return rows[0][0]


def _change(row: Row) -> Change:
    """Read what an entry changes, its bytes held against their leaf hash.

    The rest of the envelope, on which no row depends, is left to `verify`: reading it would cost
    as much again. The copies in the columns, by which streams are found, must say the same.
    """
    seq, hashes, subject, streamversion, kind, entry = row
    if not isinstance(entry, bytes) or not isinstance(hashes, bytes):
        message = "its bytes or its hashes are missing"
        raise LogCorrupt(message, seq)
    if leaf_hash(entry) != hashes[:HASH_SIZE]:
        message = "its bytes are not those that were hashed"
        raise LogCorrupt(message, seq)
    try:
        members = json.loads(entry)
        stated = tuple(members[name] for name in _PLACE)
        data = read_data(stated[-1], members["data"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        message = f"it cannot be read: {error}"
        raise LogCorrupt(message, seq) from error
    if stated != (sequence_text(seq), subject, streamversion, kind) or not data.belongs_to(subject):
        message = f"its bytes are of {stated}, its columns say {subject, streamversion, kind}"
        raise LogCorrupt(message, seq)
    return change_of(seq, subject, streamversion, kind, data)
