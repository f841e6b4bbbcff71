"""Making an identical registry from the entries of a log, as `export events` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from certledger.errors import EvidenceRefused, ImportRejected, InvalidValue, LedgerError
from certledger.eventstore.append import entry_row, insert_rows
from certledger.eventstore.database import Database
from certledger.eventstore.event import MAX_ENTRY_BYTES, Event, read_event
from certledger.eventstore.events import CertificateData
from certledger.eventstore.head import grow_head, lock_head, name_log
from certledger.eventstore.lifecycle import State, evolve, fold
from certledger.eventstore.merkle import Frontier
from certledger.eventstore.reader import find_entry, read_stream, stream_version
from certledger.eventstore.times import utc_now
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.projections.progress import Progress
from certledger.projections.projector import Change, project
from certledger.projections.schema import prepare

BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored log came to."""

    origin: str
    size: int
    root: bytes


def restore_events(
    path: Path,
    database: Database,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Make the registry whose log has exactly the entries of a file, one a line.

    Every entry is read strictly and held against the order of the log, its stream and the
    lifecycle. All happens in one transaction: a file that is refused leaves a registry without
    entries. `checkpoint`, which the caller has verified, must be of this log and have its root.

    Raises `ImportRejected` with file and line, `InvalidValue` for a database that has entries,
    `EvidenceRefused` where the checkpoint is not of this log, `StorageError`, `OSError`.
    """
    total = path.stat().st_size
    origin = _first(path).source
    prepare(database, create=True, origin=origin, clock=utc_now)
    return database.write(
        lambda connection, _: _Restore(connection, path, checkpoint).run(origin, total, progress)
    )


def _first(path: Path) -> Event:
    for line in _lines(path):
        return line.event
    raise ImportRejected(path, 1, "the file holds no entry")


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    entry: bytes
    event: Event


def _lines(path: Path) -> Iterator[_Line]:
    """Yield the entries of a file, read strictly. Raises `ImportRejected`."""
    with path.open("rb") as stream:
        lines = iter(lambda: stream.readline(MAX_ENTRY_BYTES + 2), b"")
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                raise ImportRejected(path, number, "the line is cut off, or too long")
            entry = line.removesuffix(b"\n")
            try:
                yield _Line(number, entry, read_event(entry))
            except LedgerError as error:
                raise ImportRejected(path, number, str(error)) from error


class _Restore:
    """One attempt, in one write transaction."""

    def __init__(self, connection: Connection, path: Path, checkpoint: Checkpoint | None) -> None:
        self._connection = connection
        self._path = path
        self._checkpoint = checkpoint
        self._frontier = Frontier()
        self._last: Event | None = None
        self._proved = checkpoint is None or checkpoint.size == 0
        self._ids: set[str] = set()
        """Of the entries of the batch that is not written yet."""

    def run(self, origin: str, total: int, progress: Progress | None) -> Restored:
        """Restore every entry. Raises what `restore_events` does."""
        head = lock_head(self._connection)
        if head.size:
            message = f"the registry has {head.size} entries: restore into one that has none"
            raise InvalidValue(message)
        if head.origin != origin:
            name_log(self._connection, origin)
        lines = _lines(self._path)
        done = 0
        while batch := list(islice(lines, BATCH)):
            self._add(origin, batch)
            done += sum(len(line.entry) + 1 for line in batch)
            if progress is not None:
                progress(done, total)
        return self._finish(origin)

    def _add(self, origin: str, batch: list[_Line]) -> None:
        changes: list[Change] = []
        self._ids = set()
        states: dict[str, State] = {}
        versions: dict[str, int] = {}
        for line in batch:
            try:
                self._check_place(origin, line.event, versions)
                change = self._evolved(line.event, states)
            except LedgerError as error:
                raise ImportRejected(self._path, line.number, str(error)) from error
            if change is not None:
                changes.append(change)
        rows = []
        for line in batch:
            rows.append(entry_row(line.event, line.entry, self._frontier))
            self._compare_at(self._frontier.size)
        insert_rows(self._connection, rows)
        project(self._connection, changes)

    def _check_place(self, origin: str, event: Event, versions: dict[str, int]) -> None:
        due = self._frontier.size if self._last is None else self._last.seq + 1
        if event.source != origin:
            message = f"it is of the log {event.source!r}, the others are of {origin!r}"
            raise InvalidValue(message)
        if event.seq != due:
            message = f"it has the sequence {event.seq} where {due} is due"
            raise InvalidValue(message)
        if self._last is not None and event.recordedtime < self._last.recordedtime:
            message = "its recordedtime is before that of the entry before"
            raise InvalidValue(message)
        version = versions.get(event.subject)
        if version is None:
            version = stream_version(self._connection, event.subject)
        if event.streamversion != version:
            message = f"it has the stream version {event.streamversion} where {version} is due"
            raise InvalidValue(message)
        if event.id in self._ids or find_entry(self._connection, event.id) is not None:
            message = f"its id {event.id} was an earlier entry's"
            raise InvalidValue(message)
        versions[event.subject] = version + 1
        self._ids.add(event.id)
        self._last = event

    def _evolved(self, event: Event, states: dict[str, State]) -> Change | None:
        if not isinstance(event.data, CertificateData):
            return None
        before = states.get(event.subject)
        if before is None:
            before = fold(read_stream(self._connection, event.subject))
        after = states[event.subject] = evolve(before, event)
        return Change(event, before, after)

    def _compare_at(self, size: int) -> None:
        if self._checkpoint is None or size != self._checkpoint.size:
            return
        root = self._frontier.root()
        if root != self._checkpoint.root:
            message = (
                f"the first {size} entries of {self._path} have the root {root.hex()}, but the "
                f"checkpoint says {self._checkpoint.root.hex()}: they are others"
            )
            raise EvidenceRefused(message)
        self._proved = True

    def _finish(self, origin: str) -> Restored:
        if self._last is None:
            raise ImportRejected(self._path, 1, "the file holds no entry")
        if self._checkpoint is not None and self._checkpoint.origin != origin:
            message = f"the checkpoint is of {self._checkpoint.origin!r}, the entries of {origin!r}"
            raise EvidenceRefused(message)
        if not self._proved and self._checkpoint is not None:
            message = (
                f"the checkpoint is of {self._checkpoint.size} entries, {self._path} has "
                f"{self._frontier.size}: it was cut off"
            )
            raise EvidenceRefused(message)
        grow_head(self._connection, 0, self._frontier, self._last.recordedtime)
        return Restored(origin, self._frontier.size, self._frontier.root())
